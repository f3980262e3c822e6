"""Which trials come first where there is not time for all: those that add most to a ranking for their cost.

    works = by_value(plan.trials, todo, done)       # each with its `rank`: lower ones are taken first

First each candidate once on each dataset, the cheapest first; then each a second time (another configuration or seed),
and so on: a ranking with a hole is worth less than one with wider intervals, and cheap trials fill holes soonest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from raybench.planning.plan import PlannedTrial
from raybench.schedule.work import TrialWork

__all__ = ["budget_reason", "by_value"]


def by_value(trials: Sequence[PlannedTrial], todo: Sequence[TrialWork], done: Collection[str]) -> list[TrialWork]:
    """The work that is left, ranked; `done` are the ids of trials that have scores."""
    cells: dict[tuple[str, str], list[PlannedTrial]] = defaultdict(list)
    have = Counter[tuple[str, str]]()
    left = {work.trial_id: work for work in todo}
    for one in trials:
        cell = (one.trial.candidate, one.trial.dataset.name)
        have[cell] += one.trial.trial_id in done
        if one.trial.trial_id in left:
            cells[cell].append(one)
    rounds: dict[str, int] = {}
    for cell, members in cells.items():
        members.sort(key=lambda one: one.work.cost)  # stable: equal ones in the order of the job
        for place, one in enumerate(members, start=have[cell]):  # one trial may have several candidates' names
            rounds[one.trial.trial_id] = min(place, rounds.get(one.trial.trial_id, place))
    ordered = sorted(todo, key=lambda work: (rounds[work.trial_id], work.cost))
    return [replace(work, rank=rank) for rank, work in enumerate(ordered)]


def budget_reason(hours: float) -> str:
    """What stands in the row of a trial that was left out."""
    return f"budget: {hours:g} hours were over; run the same command to go on"
