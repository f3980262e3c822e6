"""Job → Plan: every trial with its content id, what its rows are made of, and who shares work with whom.

    plan = make_plan(load_job("jobs/x.yaml"))
    plan.trials[0].trial.trial_id

Reads the data and hashes the weights; starts nothing and imports neither torch nor ray by itself. A candidate at
fault becomes trials with a problem, the others go on; a dataset at fault is a DataError, for nothing can be compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raybench.core import DatasetKey, ModelSpec, Status, Trial
from raybench.core.code import code_digests
from raybench.core.errors import JobError
from raybench.core.identity import RESULT_VERSION, canonical_json, content_hash
from raybench.data.shared_sources import SharedSources
from raybench.job import Configuration, Job
from raybench.job.catalogs import remarks
from raybench.models.files import pinned
from raybench.models.forward_cost import NO_COST, ForwardCost
from raybench.planning.datasets import PlannedDataset, plan_datasets, validation_datasets
from raybench.planning.examined import Candidacy, Examined, Problem, examine
from raybench.planning.halvings import PlannedHalving, halving_notes, with_halvings
from raybench.planning.races import PlannedRace, race_notes, with_races
from raybench.planning.shared_work import bundle_of, feature_groups, steps_of
from raybench.recipes.baselines.catalog import get_baseline
from raybench.recipes.recipe import Recipe, recipe_of
from raybench.schedule.work import TrialWork
from raybench.tasks.catalog import get_task
from raybench.tasks.task import Task

__all__ = [
    "DataNeeds",
    "FeatureNeeds",
    "Plan",
    "PlannedTrial",
    "Problem",
    "make_plan",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataNeeds:
    """How the rows of one data key are made: a dataset's rows, by its task, for a model's tokenizer."""

    dataset: DatasetKey
    model: ModelSpec
    processor: str  # the key of what makes the model's inputs of rows
    draw_seed: int | None = None  # of the order in which test rows are scored in rounds, where candidates race


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureNeeds:
    """Features that several trials read: of a split's rows, by the frozen network of any of these trials."""

    trial_id: str
    split: str
    for_scoring: bool  # by the variant that scores (its dtype), or by the float32 network that training starts from


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """A trial, the work that it is, and why it cannot start, if it cannot."""

    trial: Trial
    work: TrialWork
    stamp: str = ""  # of the files that the weights' fingerprint is of, before they were read
    size: ForwardCost = NO_COST  # of its network
    processor: str = ""  # the key of what makes the model's inputs of rows
    problem: Problem | None = None
    race: str = ""  # the key of the one that it takes part in
    goes_on_as: str = ""  # the trial whose fit begins where this one's ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a run will do, but for when and where.

    A candidate's configurations are tried on the validation rows where there are some: those trials are among `trials`,
    and `offered` are their siblings on the test rows, of which the best are done (`results/choosing.py`).

    What is fitted on one dataset and scored on several, or on its validation and its test rows, is fitted once: as the
    trial on the test rows of the dataset that is fitted, whether that is to be done or not. `fits` has those by which
    trials on other rows are scored, and `fitted_on` their datasets, by name.
    """

    run_id: str
    job: Job
    trials: tuple[PlannedTrial, ...]
    offered: tuple[PlannedTrial, ...] = ()
    datasets: Mapping[str, PlannedDataset]
    data: Mapping[str, DataNeeds] = field(default_factory=dict)
    fits: Mapping[str, PlannedTrial] = field(default_factory=dict)
    fitted_on: Mapping[str, PlannedDataset] = field(default_factory=dict)
    races: Mapping[str, PlannedRace] = field(default_factory=dict)  # by key
    halvings: tuple[PlannedHalving, ...] = ()  # of whose trials those of the first rung are among `trials`
    sources: SharedSources = field(default_factory=SharedSources)  # of datasets whose rows are read when asked for

    @property
    def later(self) -> tuple[PlannedTrial, ...]:
        """The trials of halving beyond the first rung, of which those are done that go on so far."""
        stages = (stage for halving in self.halvings for stage in halving.stages[1:])
        return tuple(one for stage in stages for group in stage.trials for one in group)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the table must know of the job and its data."""
        of_data = (note for dataset in self.datasets.values() for note in dataset.loaded.notes)
        tried: dict[tuple[str, str], set[str]] = {}
        for one in self.offered:
            key = one.trial.candidate, self.datasets[one.trial.dataset.name].chosen_on
            tried.setdefault(key, set()).add(canonical_json(dict(one.trial.hyperparameters)))
        grids = {key for key, configurations in tried.items() if len(configurations) > 1}
        to_choose = (
            f"{candidate} on {dataset}: its configurations are tried on the validation rows; the best is scored on test"
            if (candidate, dataset) in grids
            else f"{candidate} on {dataset}: its threshold is picked on the validation rows, then test rows are scored"
            for candidate, dataset in tried
        )
        return (*remarks(self.job), *of_data, *to_choose, *race_notes(self.races), *halving_notes(self))

    def features(self, wanted: Container[str]) -> dict[str, FeatureNeeds]:
        """What each group of features is made of, by one of the wanted trials that read it."""
        needs = {}
        for planned in self.trials:
            work = planned.work
            for group, split, trial_id in (
                (work.train_features, "train", work.checkpoint),
                (work.test_features, "test", work.trial_id),
            ):
                if group is not None and planned.trial.trial_id in wanted:
                    for_scoring = work.test_features is not None
                    needs[group] = FeatureNeeds(trial_id=trial_id, split=split, for_scoring=for_scoring)
        return needs

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric measured on any dataset, in the order named."""
        return tuple(dict.fromkeys(itertools.chain.from_iterable(one.metrics for one in self.datasets.values())))

    @property
    def rank_by(self) -> dict[str, str]:
        """By dataset, what ranks: the job's metric or metrics, else that of the dataset's task."""
        return {name: dataset.rank_by for name, dataset in self.datasets.items()}


def make_plan(job: Job, told: Callable[[PlannedTrial], None] | None = None) -> Plan:
    """Every candidate configuration × dataset × seed; of those to be chosen among, each on the validation rows too.

    `told` hears of each trial as soon as it is planned, once all rows are known to be good.
    """
    sources = SharedSources()
    planned_datasets = plan_datasets(job, sources)
    datasets = {spec.name: planned_datasets[spec.name] for spec in job.datasets}
    validation = validation_datasets(job, planned_datasets)
    named = [candidate.baseline or candidate.images or candidate.method.name for candidate in job.candidates]
    code = code_digests([*named, *(spec.task for spec in job.datasets)], job.directory)
    data: dict[str, DataNeeds] = {}
    trials: dict[str, PlannedTrial] = {}
    offered: dict[str, PlannedTrial] = {}
    fits: dict[str, PlannedTrial] = {}
    pins: dict[tuple[str, str | None], str | None] = {}  # revisions of the hub, as they are now
    for dataset in datasets.values():
        task = get_task(dataset.spec.task, dataset.spec.task_config)
        for candidate in job.candidates:
            if candidate._where_it_fits and task.name not in get_baseline(str(candidate.baseline)).tasks:
                continue
            chooses = candidate.num_configurations > 1 or dataset.threshold_by
            tried_on = validation.get(dataset.chosen_on) if chooses else None
            places = [(dataset, trials)] if tried_on is None else [(tried_on, trials), (dataset, offered)]
            for configuration in candidate.expand():
                adaptation = _Adaptation.of(configuration, pins)
                found = adaptation.examined(task, dataset)  # labels are those of all that it is like
                seeds = candidate.seeds or job.seeds
                for seed, (on, kept) in itertools.product(seeds if adaptation.recipe.uses_seed else seeds[:1], places):
                    planned = _plan_trial(candidate.name, adaptation, found, on, task, seed, code)
                    if on.fitted_on is not None and planned.work.needs_fit and planned.problem is None:
                        fit = _plan_trial(candidate.name, adaptation, found, on.fitted_on, task, seed, code)
                        planned = replace(planned, work=_fitted_as(planned.work, fit.work))
                        fits[fit.trial.trial_id] = fit
                        _need(data, fit, adaptation, on)
                    kept[f"{candidate.name} {planned.trial.trial_id}"] = planned
                    if told is not None and kept is trials and job.halving is None:
                        told(planned)
                    _need(data, planned, adaptation, on)
    planned_trials = (*trials.values(), *offered.values())
    if not planned_trials:
        tasks = ", ".join(sorted({dataset.spec.task for dataset in datasets.values()}))
        raise JobError(f"{job.where(None, ('candidates',))}: no baseline does {tasks}; name a model")
    identity: list[Any] = [
        sorted(one.trial.trial_id for one in planned_trials),
        {name: dataset.metrics for name, dataset in datasets.items()},
        *filter(None, [{name: dict(dataset.metric_code) for name, dataset in datasets.items() if dataset.metric_code}]),
    ]
    names = sorted({one.trial.candidate for one in planned_trials})
    run_id = f"{_slug(job.name)}-{content_hash([identity, names, job.rank_by, *map(list, job.limits)])[:12]}"
    plan = Plan(
        run_id=run_id,
        job=job,
        trials=tuple(trials.values()),
        offered=tuple(one for key, one in offered.items() if key not in trials),
        datasets={**datasets, **{dataset.spec.name: dataset for dataset in validation.values()}},
        data=data,
        fits=fits,
        fitted_on={
            one.fitted_on.spec.name: one.fitted_on
            for one in (*datasets.values(), *validation.values())
            if one.fitted_on is not None
        },
        sources=sources,
    )
    if job.halving is not None:
        plan = with_halvings(plan)
        if told is not None:
            for planned in plan.trials:
                told(planned)
    return with_races(plan)


def _need(data: dict[str, DataNeeds], planned: PlannedTrial, adaptation: _Adaptation, dataset: PlannedDataset) -> None:
    if planned.problem is None and planned.work.data_key not in data:
        data[planned.work.data_key] = DataNeeds(
            dataset=planned.trial.dataset,
            model=adaptation.model,
            processor=planned.processor,
            draw_seed=dataset.draw_seed,
        )


def _fitted_as(work: TrialWork, fit: TrialWork) -> TrialWork:
    """The work of a trial that is scored by what another trial's fit has made."""
    return replace(
        work,
        fit_id=fit.trial_id,
        fit_data_key=fit.data_key,
        bundle=fit.bundle,
        fit_steps=fit.fit_steps,
        train_features=fit.train_features,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adaptation:
    """A configuration as the catalogues understand it."""

    recipe: Recipe
    model: ModelSpec
    method: str
    hyperparameters: Mapping[str, Any]

    @classmethod
    def of(cls, configuration: Configuration, pins: dict[tuple[str, str | None], str | None]) -> _Adaptation:
        model, name, given = configuration
        model = pinned(model, pins)
        recipe = recipe_of(model, name)
        hyperparameters = recipe.resolve(given)
        return cls(
            recipe=recipe, model=recipe.adapt(model, hyperparameters), method=name, hyperparameters=hyperparameters
        )

    def examined(self, task: Task, dataset: PlannedDataset) -> Examined:
        """Whether it can be done at all, and by what; for any seed."""
        names = dataset.spec.task, self.method
        labels = dataset.loaded.labels
        return examine(Candidacy(self.recipe, task, names, self.model, labels, self.hyperparameters))


def _plan_trial(
    candidate: str,
    adaptation: _Adaptation,
    found: Examined,
    dataset: PlannedDataset,
    task: Task,
    seed: int,
    code: Mapping[str, str],
) -> PlannedTrial:
    loaded, spec = dataset.loaded, dataset.spec
    recipe, model, method = adaptation.recipe, adaptation.model, adaptation.method
    hyperparameters = dict(adaptation.hyperparameters)
    problem, weights, data_key = found.problem, found.weights, ""
    if problem is None:
        options = task.settings.model_dump()
        rows_key = [loaded.fingerprint, spec.task, options, found.processor, spec.max_length]
        data_key = content_hash(rows_key if dataset.draw_seed is None else [*rows_key, dataset.draw_seed])
        if recipe.needs_fit and "train" not in loaded.splits:
            lacking = f"dataset {spec.name!r} has no train split, which method {method!r} needs"
            problem = Problem(status=Status.INCOMPATIBLE, reason=lacking)
    key = DatasetKey(
        name=spec.name,
        task=spec.task,
        labels=loaded.labels,
        fingerprint=loaded.fingerprint,
        max_length=spec.max_length,
        task_config=dict(spec.task_config),
        statistics=dataset.statistics,
        scored=dataset.scored,
        trained_on="" if dataset.fitted_on is None else dataset.fitted_on.loaded.fingerprint,
        original=spec.like or "" if spec.perturb else "",
    )
    code = {name: code[name] for name in (spec.task, model.baseline or model.images or method) if name in code}
    identity = {
        "version": RESULT_VERSION,
        "weights": weights,
        "data": loaded.fingerprint,
        "task": [spec.task, {k: v for k, v in spec.task_config.items() if k not in task.opened()}, spec.max_length],
        "method": method,
        "hyperparameters": hyperparameters,
        "seed": seed,
        **({"code": code} if code else {}),
        **({"threshold by": dataset.threshold_by} if dataset.threshold_by and dataset.scored == "test" else {}),
    }
    trial = Trial(
        trial_id=content_hash(identity),
        candidate=candidate,
        model=model,
        dataset=key,
        method=method,
        hyperparameters=hyperparameters,
        seed=seed,
        weights_fingerprint=weights,
        code=code,
    )
    groups = feature_groups(trial, data_key, own_head=found.own_head) if problem is None else {}
    num_rows = loaded.num_rows
    fits = recipe.needs_fit and problem is None
    steps = steps_of(trial, data_key, num_rows["train"], found.cost.a_token) if fits else ()
    work = TrialWork(
        trial_id=trial.trial_id,
        data_key=data_key,
        needs_fit=recipe.needs_fit,
        bundle=bundle_of(trial, data_key, num_rows.get("train", 0)),
        cost=sum(part for _, part in steps) + found.cost.a_token * num_rows["test"] if problem is None else 0.0,
        fit_steps=steps,
        train_features=groups.get("train"),
        test_features=groups.get("test"),
    )
    return PlannedTrial(
        trial=trial, work=work, stamp=found.stamp, size=found.cost, processor=found.processor, problem=problem
    )


def _slug(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_" else "-" for character in name)[:60]
