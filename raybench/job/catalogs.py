"""The names in a job against the catalogues: tasks, methods with their hyperparameters, baselines, metrics.

The catalogues decide; what they refuse gets its place in the file here. An error that carries `key`, the
hyperparameter at fault, is placed at that very key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raybench.core.costs import COSTS
from raybench.core.errors import RaybenchError, summary
from raybench.core.suggestion import did_you_mean
from raybench.job.perturbations import PERTURBATIONS
from raybench.job.rank_by import weights_of
from raybench.job.source_map import Path
from raybench.job.spec import CandidateSpec, DatasetSpec, Job

if TYPE_CHECKING:
    from raybench.tasks.task import Task

__all__ = ["check_names", "measured_paths", "remarks", "unfit"]

Problem = tuple[Path, str]
_EXAMPLES = (("O", "B-a"), ("a", "b"), ("a", "b", "c"))  # labels that data may have: entities, two classes, three


def check_names(job: Job) -> list[Problem]:
    """Each name that no catalogue knows and each hyperparameter that its method refuses."""
    from raybench.metrics.catalog import find
    from raybench.tasks.catalog import get_task

    problems: list[Problem] = []
    measured = measured_paths(job)
    for name, path in measured.items():
        problems += _asked(path, find, name) if path[0] != "limits" else ()
    for dataset in job.datasets:
        if dataset.original is None:  # else they are the original's
            problems += _asked((*dataset._path, "task"), get_task, dataset.task)
            problems += _unknown_options(dataset)
            problems += _options(dataset)
        elif not problems:
            problems += _unlike(dataset)
    problems += _unknown_limits(job)
    if not problems:
        problems += _misfits(job, measured)
    told_of = set()
    for candidate in job.candidates:
        if candidate._path not in told_of:  # the checkpoints of one glob say the same
            problems += _methods(candidate)
        told_of.add(candidate._path)
    return problems


def _unknown_limits(job: Job) -> Iterator[Problem]:
    """Limits on what is neither a cost nor a metric."""
    from raybench.metrics.catalog import METRICS, find

    for place, limit in enumerate(job.limits):
        try:
            if limit.name not in COSTS:
                find(limit.name)
        except RaybenchError:
            known = did_you_mean(limit.name, [*COSTS, *METRICS])
            yield ("limits", place), f"{limit.name} is neither a cost ({', '.join(COSTS)}) nor a metric{known}"


def _unknown_options(dataset: DatasetSpec) -> Iterator[Problem]:
    """Options that neither the task nor a metric reads; a task of the user's own may read others."""
    from raybench.metrics.requirements import known_options
    from raybench.tasks.catalog import TASKS, get_task

    if dataset.task_config and dataset.task in TASKS:
        known = known_options() | get_task(dataset.task).options.model_fields.keys()
        for key in dataset.task_config:
            if key not in known:
                reason = f"neither {dataset.task} nor a metric reads this option{did_you_mean(key, known)}"
                yield (*dataset._path, "task_config", key), reason


def _options(dataset: DatasetSpec) -> Iterator[Problem]:
    """Options of the task that cannot be."""
    from raybench.tasks.catalog import TASKS, get_task

    try:
        if dataset.task in TASKS or ":" in dataset.task:
            get_task(dataset.task, dataset.task_config)
    except RaybenchError as error:
        if error.key:  # what it says of the task itself has been told
            yield (*dataset._path, "task_config", *error.key), str(error).removeprefix(f"task_config.{error.key[0]}: ")


def _unlike(dataset: DatasetSpec) -> Iterator[Problem]:
    """Perturbations that are for other columns than the task's, and tasks of which no other dataset can be asked."""
    from raybench.tasks.catalog import get_task

    columns = get_task(dataset.task, dataset.task_config).columns
    if any(column.role == "group" for column in columns):
        yield (*dataset._path, "like"), f"what {dataset.task} learns is of its own users and items alone"
    kinds = {"text" if column.kind == "texts" else column.kind for column in columns if column.is_perturbed}
    for name in dataset.perturb or ():
        if kinds.isdisjoint(wanted := PERTURBATIONS[name].kinds):
            what = " and ".join({"text": "texts", "image": "pictures", "audio": "sounds"}[kind] for kind in wanted)
            reason = f"{name} is for {what}, and {dataset.task} has none that could be others and mean the same"
            yield (*dataset._path, "perturb"), reason


def measured_paths(job: Job) -> dict[str, Path]:
    """Where each metric that the job names stands in the file."""
    weights = weights_of(job.rank_by) if job.rank_by is not None else {}
    named: dict[str, Path] = {name: ("rank_by", name) if len(weights) > 1 else ("rank_by",) for name in weights}
    named |= {name: ("metrics", index) for index, name in enumerate(job.metrics) if name not in weights}
    limited = {limit.name: ("limits", place) for place, limit in enumerate(job.limits) if limit.name not in COSTS}
    return limited | named


def remarks(job: Job) -> Iterator[str]:
    """What is done otherwise than a reader of the job may think."""
    from raybench.recipes.methods.catalog import get_method

    for candidate in job.candidates:
        if candidate.dtype == "int8" and candidate.baseline is None and get_method(candidate.method.name).needs_fit:
            yield (
                f"{candidate.name}: dtype int8 is for scoring alone: its weights are fitted in float32 by method "
                f"{candidate.method.name} and then quantised"
            )


def _misfits(job: Job, measured: Mapping[str, Path]) -> Iterator[Problem]:
    """Metrics that no data could give the job's tasks; how many labels there are is not known yet."""
    from raybench.tasks.catalog import get_task

    for name, path in measured.items():
        for dataset in job.datasets:
            task = get_task(dataset.task, dataset.task_config)
            # `positive` names a label of the data
            config = {key: value for key, value in dataset.task_config.items() if key != "positive"}
            reasons = [unfit(name, task, labels, config) for labels in _EXAMPLES]
            if None not in reasons:
                yield path, str(reasons[-1])
                break


def unfit(name: str, task: Task, labels: Sequence[str], task_config: Mapping[str, Any]) -> str | None:
    """Why a metric cannot be had of a task's records, with those that can, or None where it can."""
    from raybench.metrics.requirements import fitting, misfit

    schema, config = task.record_schema(labels), task.metric_config(labels, task_config)
    reason = misfit(name, schema, config)
    if reason is None:
        return None
    known = ", ".join(fitting(schema, config))
    return f"{reason}; metrics that fit {task.name}: {known}"


def _methods(candidate: CandidateSpec) -> Iterator[Problem]:
    from raybench.recipes.baselines.catalog import get_baseline
    from raybench.recipes.methods.catalog import get_method

    if candidate.baseline is not None:
        yield from _asked((*candidate._path, "baseline"), get_baseline, candidate.baseline)
        for key in (*candidate.grid, *candidate.method.hyperparameters):
            written = "grid" if key in candidate.grid else "method"
            yield (*candidate._path, written, key), f"baseline {candidate.baseline} has no hyperparameter {key}"
        return
    for _, name, hyperparameters in candidate.expand():
        try:
            get_method(name).resolve(hyperparameters)
        except RaybenchError as error:
            written = "grid" if set(error.key) & set(candidate.grid) else "method"
            yield (*candidate._path, written, *error.key), str(error)
        except (Exception, SystemExit) as error:  # of a method of the user's own
            yield (*candidate._path, "method"), f"method {name!r} refuses its hyperparameters: {summary(error)}"


def _asked(path: Path, find: Callable[[str], Any], name: str) -> Iterator[Problem]:
    try:
        find(name)
    except RaybenchError as error:
        yield path, str(error)
