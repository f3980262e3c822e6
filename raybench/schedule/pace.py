"""How long each piece of a run's work takes, and the least that all of it can take on so many actors.

    pace = Pace(batches={"rows": (10, 2)}, steps={"net": 40.0}, score={"trial-a": 0.5})
    lower_bound(works, pace, num_actors=8, shard_batches=4)         # seconds, whatever the order

Seconds are predicted, measured or drawn; what is not named takes none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from raybench.schedule.bundles import distinct_steps
from raybench.schedule.shards import feature_parts
from raybench.schedule.work import TrialWork

__all__ = ["Pace", "lower_bound", "work_seconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds of one actor at work."""

    start: float = 0.0  # from asking for an actor to its first work
    answer: float = 0.0  # of the driver, for each piece of work that has ended
    batches: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # data key → of test and of training rows
    prepare: Mapping[str, float] = field(default_factory=dict)  # data key → of its rows
    features: Mapping[str, float] = field(default_factory=dict)  # group → of a batch
    steps: Mapping[str, float] = field(default_factory=dict)  # step of a fit → of it, once for all who have it
    fit: Mapping[str, float] = field(default_factory=dict)  # checkpoint → of its fit beside the steps
    open: Mapping[str, float] = field(default_factory=dict)  # trial → before an actor scores its first shard
    score: Mapping[str, float] = field(default_factory=dict)  # trial → of a batch

    def of_fit(self, works: Iterable[TrialWork], kept: Mapping[str, object] | None = None) -> float:
        """Fitting trials together; the steps that are kept need not be done."""
        works = list(works)
        steps = (self.steps.get(key, 0.0) for key in distinct_steps(works) if key not in (kept or ()))
        return sum(steps) + sum(self.fit.get(key, 0.0) for key in {work.checkpoint: None for work in works})


def work_seconds(works: Sequence[TrialWork], pace: Pace) -> float:
    """All of it on one actor, each bundle fitted whole and each model opened once."""
    seconds = sum(pace.prepare.get(key, 0.0) for key in {key for work in works for key in _rows(work)})
    bundles: dict[str, list[TrialWork]] = {}
    groups: dict[str, int] = {}
    for work in works:
        (test, _), (_, train) = (pace.batches.get(key, (0, 0)) for key in (work.data_key, work.fit_rows))
        seconds += pace.score.get(work.trial_id, 0.0) * test + pace.open.get(work.trial_id, 0.0) * (test > 0)
        if work.needs_fit:
            bundles.setdefault(work.bundle, []).append(work)
            groups |= {work.train_features: train} if work.train_features else {}
        groups |= {work.features_to_score: test} if work.features_to_score else {}
    seconds += sum(map(pace.of_fit, bundles.values()))
    return seconds + sum(pace.features.get(group, 0.0) * batches for group, batches in groups.items())


def lower_bound(works: Sequence[TrialWork], pace: Pace, *, num_actors: int, shard_batches: int) -> float:
    """Seconds that no order can go below: all work evenly on all actors, or what one trial must wait for in a row."""
    longest = max((_in_a_row(work, pace, num_actors, shard_batches) for work in works), default=0.0)
    return pace.start + max(work_seconds(works, pace) / num_actors, longest)


def _in_a_row(work: TrialWork, pace: Pace, num_actors: int, shard_batches: int) -> float:
    """Rows, then a part of its features and its fit beside a part of its test features, then a shard."""
    (test, _), (_, train) = (pace.batches.get(key, (0, 0)) for key in (work.data_key, work.fit_rows))
    fit = 0.0
    if work.needs_fit:
        features = _longest_part(work.train_features, train, num_actors, pace)
        fit = pace.prepare.get(work.fit_rows, 0.0) + features + pace.of_fit([work])
    features = _longest_part(work.features_to_score, test, num_actors, pace)
    before = max(fit, pace.prepare.get(work.data_key, 0.0) + features)
    shard = pace.score.get(work.trial_id, 0.0) * min(test, shard_batches)
    return before + shard + pace.open.get(work.trial_id, 0.0) * (test > 0)


def _rows(work: TrialWork) -> set[str]:
    return {work.data_key, work.fit_rows} if work.needs_fit else {work.data_key}


def _longest_part(group: str | None, num_batches: int, num_actors: int, pace: Pace) -> float:
    if group is None or not num_batches:
        return 0.0
    part = feature_parts(group, num_batches, num_actors)[0]
    return pace.features.get(group, 0.0) * (part.stop - part.start)
