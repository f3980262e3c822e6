"""Halving, rung by rung: who goes on is decided by how the trials of a rung have ended, and by nothing else.

    unfolded = unfold(plan, rows, measured)         # a pure function of stored rows
    unfolded.todo                                   # the plan with the trials of every stage that can be done
    unfolded.table                                  # with whole trials alone, as a ranking shows them

A rung is decided when all its trials have ended, by the mean over seeds of what ranks, equal ones in the order of the
job. So it never matters who came first, nor where a run was cut off: the next one decides the same of the same rows. A
configuration of which a trial did not end well goes on nowhere.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from raybench.core import Status
from raybench.core.errors import StoreError
from raybench.planning.halvings import PlannedHalving, Stage
from raybench.planning.plan import Plan, PlannedTrial, Problem
from raybench.planning.resume import look_up
from raybench.results.choosing import criterion_of, is_over, means_of
from raybench.results.criterion import Criterion
from raybench.results.ledger import blank_row
from raybench.results.measure import Measured
from raybench.results.publish import measure_rest
from raybench.results.settled import HALVED
from raybench.store import Store
from raybench.store.parquet import Skipped
from raybench.store.trials import TrialRow
from raybench.store.unfinished import UnfinishedFits

__all__ = ["Stored", "Unfolded", "keep_stopped", "unfold", "unfold_stored"]


class Unfolded(NamedTuple):
    """A plan as far as its halvings are decided."""

    todo: Plan
    table: Plan
    stopped: Mapping[str, tuple[PlannedTrial, ...]]  # key of a halving → whole trials, with the reason as their problem
    unread: frozenset[str]  # their fits and those of their rungs

    @property
    def undecided(self) -> frozenset[str]:
        """Whole trials of which it is not known whether they will be done."""
        done = {one.trial.trial_id for one in self.todo.trials}
        return frozenset({one.trial.trial_id for one in self.table.trials if one.problem is None} - done)


def unfold(plan: Plan, rows: Mapping[str, TrialRow], measured: Mapping[str, Measured]) -> Unfolded:
    """`rows` say how trials have ended, `measured` what of those that ended well is worth."""
    todo, table = list(plan.trials), [one for one in plan.trials if not one.trial.until]
    stopped, unread = {}, set[str]()
    for halving in plan.halvings:
        by = criterion_of(plan.datasets[halving.dataset])
        later, problems = _later(halving, rows, measured, by)
        todo += later
        whole = [
            replace(one, problem=problems.get(place))
            for place, group in enumerate(halving.stages[-1].trials)
            for one in group
        ]
        table += whole
        stopped[halving.key] = tuple(one for one in whole if one.problem is not None)
        unread |= {one.work.checkpoint for stage in halving.stages for place in problems for one in stage.trials[place]}
    return Unfolded(
        todo=replace(plan, trials=tuple(todo)),
        table=replace(plan, trials=tuple(table)),
        stopped=stopped,
        unread=frozenset(unread - {one.work.checkpoint for one in todo}),
    )


def _later(
    halving: PlannedHalving, rows: Mapping[str, TrialRow], measured: Mapping[str, Measured], by: Criterion
) -> tuple[list[PlannedTrial], dict[int, Problem]]:
    """The trials beyond the first rung that can be done, and by configuration why others go on no further."""
    later: list[PlannedTrial] = []
    problems: dict[int, Problem] = {}
    going = list(range(len(halving.stages[0].trials)))
    for stage in halving.stages:
        own = [one for place in going for one in stage.trials[place]]
        later += own if stage is not halving.stages[0] else []
        if not stage.keep or not all(is_over(rows.get(one.trial.trial_id)) for one in own):
            break
        found = {place: means_of(stage.trials[place], rows, measured, by) for place in going}
        scores = {place: means for place, means in found.items() if means is not None}
        best = by.order(scores)
        told = _Told(halving, stage, len(scores), by)
        problems |= {place: told.why_bad(place, rows) for place in going if place not in scores}
        last = scores[best[: stage.keep][-1]] if best else {}
        problems |= {
            place: told.why_stopped(rank, scores[place], last)
            for rank, place in enumerate(best, start=1)
            if rank > stage.keep
        }
        going = sorted(best[: stage.keep])
    return later, problems


class _Told:
    """Reasons at one rung."""

    def __init__(self, halving: PlannedHalving, stage: Stage, num: int, by: Criterion) -> None:
        self._stage, self._num, self._by = stage, num, by
        self._after = f"after {stage.epochs} of {halving.stages[-1].epochs} epochs"

    def why_stopped(self, rank: int, scores: Mapping[str, float], last: Mapping[str, float]) -> Problem:
        own, other = (", ".join(f"{name} {found[name]:.3f}" for name in self._by.weights) for found in (scores, last))
        other = other.split()[-1] if self._by.metric is not None else other
        return Problem(
            status=Status.STOPPED,
            reason=f"{HALVED}{self._after} place {rank} of {self._num} on the validation rows, {own}; "
            f"the last to go on had {other}",
        )

    def why_bad(self, place: int, rows: Mapping[str, TrialRow]) -> Problem:
        for one in self._stage.trials[place]:
            row = rows[one.trial.trial_id]
            if row.status is not Status.OK:
                return Problem(status=row.status, reason=f"{self._after}: {row.reason}")
        return Problem(status=Status.FAILED, reason=f"{self._after}: its score is undefined on the validation rows")


class Stored(NamedTuple):
    """What a store holds of a plan, its halvings unfolded."""

    unfolded: Unfolded
    rows: dict[str, TrialRow]
    measured: dict[str, Measured]


def unfold_stored(plan: Plan, store: Store, skipped: Skipped) -> Stored:
    """As far as the trials in the store decide."""
    todo, measured = plan, dict[str, Measured]()
    while True:
        found = look_up(todo, store, skipped)
        rows = {**found.failures, **found.rows}
        measured = measure_rest(todo, rows, store, skipped, measured)
        unfolded = unfold(plan, rows, measured)
        if len(unfolded.todo.trials) == len(todo.trials):
            return Stored(unfolded, rows, measured)
        todo = unfolded.todo


def keep_stopped(unfolded: Unfolded, store: Store, skipped: Skipped) -> None:
    """Leave in the store how whole trials were stopped, and nothing of their fits; what is there stays."""
    stopped = {
        one.trial.trial_id: (key, one)
        for key, group in unfolded.stopped.items()
        for one in group
        if one.problem is not None and one.problem.status is Status.STOPPED
    }
    if not stopped:
        return
    there = store.trials.read(skipped, states_of=())
    rows = [row for trial_id, (key, one) in stopped.items() if (row := _row(key, one, there.get(trial_id))) is not None]
    store.trials.write(rows)
    if rows:
        with suppress(StoreError):  # what is left costs room alone
            UnfinishedFits(store.files).remove(unfolded.unread)


def _row(key: str, one: PlannedTrial, there: TrialRow | None) -> TrialRow | None:
    """None where there is nothing to add: it is known already, or was fitted whole for another job."""
    assert one.problem is not None
    if there is not None and (there.status is not Status.STOPPED or there.reason == one.problem.reason):
        return None
    row = replace(blank_row(one.trial), status=one.problem.status, reason=one.problem.reason, finished_at=time.time())
    return replace(row, provenance={"halving": key})
