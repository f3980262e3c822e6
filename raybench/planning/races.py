"""Who races whom: a dataset's configurations, of which what is surely not among the best is not scored to its end.

    plan = with_races(plan)
    plan.races["3f…"].contestants

A race's key hashes all that its decisions hang on, so a trial that a race has stopped stays stopped as long as the race
is the same. On validation rows each candidate's own configurations race, for there the best of each is looked for.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from raybench.core import Trial
from raybench.core.errors import JobError
from raybench.core.identity import canonical_json, content_hash
from raybench.job import Job
from raybench.job.rank_by import weights_of
from raybench.metrics import MetricSet
from raybench.metrics.bounded import is_bounded_mean
from raybench.metrics.draw_order import looks
from raybench.metrics.worth import has_influence

if TYPE_CHECKING:
    from raybench.planning.datasets import PlannedDataset
    from raybench.planning.plan import Plan, PlannedTrial

__all__ = ["Contestant", "PlannedRace", "check_race", "race_notes", "with_races"]

_ANY_NUMBER = 1_000_000  # of examples


class Contestant(NamedTuple):
    """A configuration, by a name that tells it from the others, and its trials, one a seed."""

    name: str
    trial_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRace:
    """Who races on which dataset by what, and what is promised: with probability 1 − alpha the best `keep` are kept."""

    key: str
    dataset: str
    contestants: tuple[Contestant, ...]
    metric: str
    is_mean: bool  # over examples, of bounded values: what betting needs; else bounds are asymptotic
    higher_is_better: bool
    range: tuple[float, float]
    unit: str
    alpha: float
    keep: int
    seed: int


def check_race(job: Job, dataset: str, metrics: Sequence[str], rank_by: str, config: Mapping[str, Any]) -> None:
    """JobError where what ranks a dataset is nothing that a race can promise anything of."""
    metric_set = MetricSet(metrics, config)
    ranked = list(weights_of(rank_by))
    if len(ranked) == 1 and has_influence(metric_set.metric(ranked[0])[0]):
        return
    others = [name for name in metrics if has_influence(metric_set.metric(name)[0])]
    instead = f"rank_by: {others[0]} would do" if others else "rank_by accuracy, macro_f1 or another, or no race"
    why = "is several metrics" if len(ranked) > 1 else "of some examples says too little of its value of all"
    raise JobError(
        f"{job.where(None, ('race',))}: {rank_by}, by which {dataset} is ranked, {why}, so stopping early by it could "
        f"promise nothing; {instead}"
    )


def with_races(plan: Plan) -> Plan:
    """The plan with the races of its trials, and each trial in the one that it takes part in."""
    if plan.job.race is None:
        return plan
    groups: dict[tuple[str, str], dict[tuple[str, ...], list[PlannedTrial]]] = defaultdict(lambda: defaultdict(list))
    for planned in plan.trials:
        if planned.problem is None and not _is_cut_later(planned.trial, plan):
            trial = planned.trial
            own = trial.candidate if trial.dataset.scored == "validation" else ""
            configuration = (trial.candidate, trial.model.reference, trial.method, _settings(trial))
            groups[trial.dataset.name, own][configuration].append(planned)
    races: dict[str, PlannedRace] = {}
    of_trial: dict[str, str] = {}
    for (dataset, _), group in groups.items():
        race = _race(plan.job, plan.datasets[dataset], list(group.values()))
        if len(race.contestants) > 1:
            races[race.key] = race
            of_trial |= {trial_id: race.key for one in race.contestants for trial_id in one.trial_ids}
    readers = Counter(planned.work.test_features for planned in plan.trials)
    trials = tuple(
        _in_race(one, of_trial.get(one.trial.trial_id, ""), readers[one.work.test_features]) for one in plan.trials
    )
    return replace(plan, trials=trials, races=races)


def _is_cut_later(trial: Trial, plan: Plan) -> bool:
    """Whether its predictions are judged by a threshold that all of its records pick, so that no part can tell."""
    return trial.dataset.scored == "validation" and bool(plan.datasets[trial.dataset.name].threshold_by)


def race_notes(races: Mapping[str, PlannedRace]) -> list[str]:
    """What a reader of the table must know."""
    return [
        f"{race.dataset}: {len(race.contestants)} race by {race.metric}; "
        f"with probability {1 - race.alpha:g} {_kept(race.keep)} scored to the end"
        + ("" if race.is_mean else f" (asymptotic: as far as differences in {race.metric} are near normal)")
        for race in races.values()
    ]


def _kept(keep: int) -> str:
    return "the best is" if keep == 1 else f"the best {keep} are"


def _race(job: Job, dataset: PlannedDataset, seeds: Sequence[Sequence[PlannedTrial]]) -> PlannedRace:
    assert job.race is not None
    contestants = {tuple(one.trial.trial_id for one in group): group[0].trial for group in seeds}
    names = _names(list(contestants.values()))
    info = dataset.metric_set().info(dataset.rank_by)
    race = PlannedRace(
        key="",
        dataset=dataset.spec.name,
        contestants=tuple(Contestant(name, ids) for name, ids in zip(names, contestants, strict=True)),
        metric=dataset.rank_by,
        is_mean=is_bounded_mean(dataset.metric_set().metric(dataset.rank_by)[0]),
        higher_is_better=info.higher_is_better is not False,
        range=info.range,
        unit=info.unit,
        alpha=job.race.alpha,
        keep=job.race.keep,
        seed=job.seeds[0],
    )
    decides = [sorted(contestants), dataset.measures, race.metric, race.alpha, race.keep, race.seed]
    decides += looks(_ANY_NUMBER)  # when one looks
    return replace(race, key=content_hash(decides))


def _names(trials: Sequence[Trial]) -> list[str]:
    """Candidates' names; of those that one name has several of, with the hyperparameters in which they differ."""
    found = []
    for trial in trials:
        same = [json.loads(_settings(one)) for one in trials if one.candidate == trial.candidate]
        own = json.loads(_settings(trial))
        differing = [key for key in own if len({canonical_json(one.get(key)) for one in same}) > 1]
        settings = ", ".join(f"{key}={own[key]}" for key in differing)
        found.append(f"{trial.candidate} ({settings})" if settings else trial.candidate)
    return found


def _settings(trial: Trial) -> str:
    return canonical_json(dict(trial.hyperparameters))


def _in_race(planned: PlannedTrial, key: str, num_readers: int) -> PlannedTrial:
    """What alone reads features of test rows computes those of the rounds that it comes to."""
    work = replace(planned.work, raced=bool(key), features_ahead=not key or num_readers > 1)
    return replace(planned, race=key, work=work)
