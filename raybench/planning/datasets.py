"""A job's datasets as a plan has them: their rows, what is measured on them, and what is tried on validation rows.

    datasets = plan_datasets(job, SharedSources())      # those that others are like, too
    validation = validation_datasets(job, datasets)     # by dataset, its validation rows in the place of the test rows

A dataset at fault is a DataError with its place in the job file, for nothing can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raybench.core.code import code_digests
from raybench.core.costs import COSTS
from raybench.core.errors import DataError, JobError
from raybench.core.identity import content_hash
from raybench.data import LoadedDataset, load_dataset
from raybench.data.later import with_test
from raybench.data.shared_sources import SharedSources
from raybench.job import DatasetSpec, Job
from raybench.job.catalogs import measured_paths, unfit
from raybench.job.rank_by import weights_of
from raybench.metrics import MetricSet
from raybench.planning.races import check_race
from raybench.planning.rows import PlannedRows, planned_rows, rows_as_read
from raybench.store.basis import measures_of
from raybench.tasks.catalog import get_task
from raybench.tasks.task import Task
from raybench.tasks.threshold import PICKED

__all__ = ["PlannedDataset", "plan_datasets", "validation_datasets", "validation_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDataset:
    """A dataset's rows and what is measured on them; its test split may be the validation rows of another."""

    spec: DatasetSpec
    loaded: LoadedDataset
    metrics: tuple[str, ...]
    metric_config: Mapping[str, Any]
    metric_code: Mapping[str, str] = field(default_factory=dict)  # of metrics that are the user's own
    rank_by: str
    statistics: Mapping[str, float] = field(default_factory=dict)  # of the training targets
    scored: str = "test"  # or "validation", see `DatasetKey.scored`
    fitted_on: PlannedDataset | None = None  # the dataset whose training rows these are, where that is another
    draw_seed: int | None = None  # of the order in which test rows are scored in rounds, where candidates race

    @property
    def threshold_by(self) -> str:
        """The metric by which each fit's threshold is picked, the weightiest that ranks; "": none is picked."""
        weights = weights_of(self.rank_by)
        return max(weights, key=lambda name: weights[name]) if self.spec.task_config.get("threshold") == PICKED else ""

    @property
    def chosen_on(self) -> str:
        """The name of the dataset that is fitted, on whose validation rows configurations are tried."""
        return self.spec.name if self.fitted_on is None else self.fitted_on.spec.name

    def on_validation(self) -> PlannedDataset:
        """The same, its validation rows in the place of the test rows: what configurations are tried on."""
        name = validation_name(self.spec.name)
        loaded = replace(
            self.loaded,
            name=name,
            splits=with_test(self.loaded.splits, "validation"),
            fingerprint=content_hash([self.loaded.fingerprint, "validation rows"]),
            notes=(),
        )
        spec = self.spec.model_copy(update={"name": name})
        return replace(self, spec=spec, loaded=loaded, scored="validation", fitted_on=self)

    def metric_set(self) -> MetricSet:
        return MetricSet(self.metrics, self.metric_config)

    @property
    def measures(self) -> str:
        """The hash of what is measured."""
        return measures_of(self.metrics, self.metric_config, self.metric_code)


def validation_name(dataset: str) -> str:
    """What a dataset is called where its validation rows are scored."""
    return f"{dataset} (validation)"


def plan_datasets(job: Job, later: SharedSources) -> dict[str, PlannedDataset]:
    """The job's datasets and those that they are like, by name; rows that are remembered are read from `later`."""
    as_read: dict[str, LoadedDataset] = {}
    planned: dict[str, PlannedDataset] = {}
    alone = all(spec.original is None for spec in job.datasets)
    originals = {spec.original.name: spec.original for spec in job.datasets if spec.original is not None}
    sources = SharedSources({**originals, **{spec.name: spec for spec in job.datasets}}.values())

    def plan(spec: DatasetSpec) -> None:
        if spec.original is not None and spec.original.name not in planned:
            plan(spec.original)
        original = planned[spec.original.name] if spec.original is not None else None
        task = _task(job, spec)
        try:
            if alone:
                rows = planned_rows(spec, task, job.directory, sources, later)
            else:  # one is made of another's rows
                known = as_read[spec.original.name] if spec.original is not None else None
                as_read[spec.name] = load_dataset(spec, task.columns, job.directory, known, sources)
                rows = rows_as_read(spec, task, as_read[spec.name], original.loaded if original is not None else None)
        except DataError as error:
            raise job.placed(error, spec) from error
        planned[spec.name] = _plan_dataset(job, spec, task, rows, original)

    for spec in job.datasets:
        if spec.name not in planned:
            plan(spec)
    return planned


def _plan_dataset(
    job: Job, spec: DatasetSpec, task: Task, rows: PlannedRows, original: PlannedDataset | None
) -> PlannedDataset:
    loaded, statistics = rows
    names = tuple(job.metrics) or task.default_metrics(loaded.labels, statistics)
    own = dict.fromkeys(names, (*spec._path, "task_config"))  # what the task measures fits it but for its options
    for name, path in (own | measured_paths(job)).items():
        if (reason := unfit(name, task, loaded.labels, spec.task_config)) is not None:
            raise JobError(f"{job.where(None, path)}: dataset {spec.name}: {reason}")
    rank_by = job.rank_by or (task.primary if task.primary in names else names[0])
    limited = [limit.name for limit in job.limits if limit.name not in COSTS]
    names = tuple(dict.fromkeys((*names, *weights_of(rank_by), *limited)))
    metric_config = task.metric_config(loaded.labels, spec.task_config)
    if job.race is not None:
        check_race(job, spec.name, names, rank_by, metric_config)
    return PlannedDataset(
        spec=spec,
        loaded=loaded,
        metrics=names,
        metric_config=metric_config,
        metric_code=code_digests(names, job.directory),
        rank_by=rank_by,
        statistics=statistics,
        fitted_on=None if original is None else original.fitted_on or original,
        draw_seed=None if job.race is None else job.seeds[0],
    )


def validation_datasets(job: Job, datasets: Mapping[str, PlannedDataset]) -> dict[str, PlannedDataset]:
    """By dataset, its validation rows, where there are some and something is chosen: a configuration, a threshold."""
    is_grid = any(candidate.num_configurations > 1 for candidate in job.candidates)
    tried = dict.fromkeys(one.chosen_on for one in datasets.values() if is_grid or one.threshold_by)
    for one in (one for one in datasets.values() if one.threshold_by):
        if "validation" not in datasets[one.chosen_on].loaded.splits:
            where = job.where(None, (*one.spec._path, "task_config", "threshold"))
            raise JobError(
                f"{where}: dataset {one.spec.name} has no validation rows to pick a threshold on; "
                "splits: {validation: cut} cuts a fifth of train"
            )
    found = {name: datasets[name].on_validation() for name in tried if "validation" in datasets[name].loaded.splits}
    for name, dataset in found.items():
        if dataset.spec.name in datasets:
            where = job.where(datasets[dataset.spec.name].spec, ("name",))
            raise JobError(f"{where}: this is the name of what is chosen by on {name!r}; give another")
    return found


def _task(job: Job, spec: DatasetSpec) -> Task:
    try:
        return get_task(spec.task, spec.task_config)
    except JobError as error:
        path = ("task_config", *error.key) if error.key else ("task",)
        raise JobError(f"{job.where(None, (*spec._path, *path))}: dataset {spec.name}: {error}") from error
