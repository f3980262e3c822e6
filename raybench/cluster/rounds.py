"""A run beside others on one store: do what is this run's, wait for what others do, take over what they leave.

with Lease(...) as lease:
    division = lease.divide(trial_ids)
    found = look_up(plan, store, skipped)           # in this order: who released a trial has written how it ended
    outcome = run_rounds(plan, found, division, lease, store, ...)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from raybench.cluster.connection import Connection
from raybench.cluster.deadline import Deadline
from raybench.cluster.observer import Observer
from raybench.cluster.run import Outcome, run_trials
from raybench.core import Status
from raybench.planning.budget import by_value
from raybench.planning.plan import Plan
from raybench.planning.resume import Found, look_up
from raybench.results.ledger import blank_row
from raybench.results.measure import Measured
from raybench.store import Store
from raybench.store.claims import Division
from raybench.store.leases import Lease
from raybench.store.parquet import Skipped
from raybench.store.trials import TrialRow

__all__ = ["ended_beside", "run_rounds"]

_WAIT_SECONDS = 1.0
_WAIT_PER_LOOK = 10  # times what a look at the store takes


def run_rounds(
    plan: Plan,
    found: Found,
    division: Division,
    lease: Lease,
    store: Store,
    *,
    connection: Connection,
    observer: Observer,
    skipped: Skipped,
    deadline: Deadline | None = None,
) -> Outcome:
    """Until every trial of the plan that can be done has ended, here or in another run, or the budget is over."""
    before = found.failures
    left = {work.trial_id for work in found.todo(plan)}
    rows: dict[str, TrialRow] = {}
    tracebacks: dict[str, str] = {}
    measured: dict[str, Measured] = {}
    told = ""
    while True:
        if deadline is not None and left and deadline.is_over:
            rows |= _left_out(plan, left, deadline.reason)
            for trial_id in left:
                observer.trial_ended(rows[trial_id])
            return Outcome(rows, tracebacks, measured)
        todo = [work for work in found.todo(plan) if work.trial_id in left & division.take]
        if deadline is not None:
            todo = by_value(plan.trials, todo, found.rows.keys() | rows.keys())
        if todo:
            outcome = run_trials(
                plan,
                todo,
                found,
                store,
                connection=connection,
                observer=observer,
                skipped=skipped,
                check=lease.check,
                deadline=deadline,
            )
            rows |= outcome.rows
            tracebacks |= outcome.tracebacks
            measured |= outcome.measured
            left -= outcome.rows.keys()
        if not left:
            return Outcome(rows, tracebacks, measured)
        if not todo and (line := _waiting_for(lease, division, left)) != told:
            told = line
            observer.note(line)
        began = time.monotonic()
        division = lease.divide(left)
        found = look_up(plan, store, skipped)
        beside = ended_beside(found, left, before)
        for row in beside.values():
            observer.trial_ended(row)
        rows |= beside
        left -= beside.keys()
        if left and not division.take:
            time.sleep(max(_WAIT_SECONDS, _WAIT_PER_LOOK * (time.monotonic() - began)))


def _left_out(plan: Plan, trial_ids: set[str], reason: str) -> dict[str, TrialRow]:
    """Rows of trials that nothing was done of; they are not written, for another run may be at them."""
    trials = {one.trial.trial_id: one.trial for one in plan.trials if one.trial.trial_id in trial_ids}
    return {trial_id: replace(blank_row(trial), reason=reason) for trial_id, trial in trials.items()}


def ended_beside(found: Found, left: set[str], before: Mapping[str, TrialRow]) -> dict[str, TrialRow]:
    """Trials that another run has ended since this one began, well or not: failures are for the next run to try."""
    ended = {trial_id: row for trial_id, row in found.rows.items() if trial_id in left}
    for trial_id, row in found.failures.items():
        known = before.get(trial_id)
        is_new = known is None or row.finished_at > known.finished_at
        if trial_id in left and is_new and row.status not in (Status.STOPPED, Status.PREEMPTED):
            ended[trial_id] = row
    return ended


def _waiting_for(lease: Lease, division: Division, left: set[str]) -> str:
    counts = {ticket: len(trial_ids & left) for ticket, trial_ids in division.wait.items()}
    runs = [f"{count} by {lease.holders[ticket]}" for ticket, count in counts.items() if count]
    return f"waiting for trials that other runs do: {', '.join(runs)}"
