"""What fits of a bundle cost together, and which of it one actor takes when others would wait: pure arithmetic.

    fit_cost(works)                         # what several trials have in common is done once
    first_piece(works, limit=3.0)           # (the trials to fit now, the rest)

A bundle is parted where that helps: a piece is to last no longer than the rest keeps all actors busy (guided
self-scheduling, Polychronopoulos and Kuck 1987, doi:10.1109/TC.1987.5009495). Steps that both pieces begin with are
then done twice, so it is parted only where those are little beside either piece.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from raybench.schedule.work import TrialWork

__all__ = ["distinct_steps", "first_piece", "fit_cost", "longest_fit"]

_MOST_TWICE = 0.1  # of a piece: steps that another one does too (with 0.2: 1.052 times the bound, with this 1.042)


def distinct_steps(works: Iterable[TrialWork]) -> dict[str, float]:
    """The steps that fitting these trials takes and what each costs: those in common once, in the order of trials."""
    return {key: cost for work in works for key, cost in work.fit_steps}


def fit_cost(works: Iterable[TrialWork]) -> float:
    """What one actor needs to fit them all, in the unit of the trials' steps."""
    return sum(distinct_steps(works).values())


def longest_fit(works: Iterable[TrialWork]) -> float:
    """What the costliest of them needs alone: no parting goes below it."""
    return max((_alone(work) for work in works), default=0.0)


def first_piece(works: Sequence[TrialWork], limit: float) -> tuple[list[TrialWork], list[TrialWork]]:
    """The trials of a bundle to fit now, and those left for other actors.

    The piece is the costliest trial and those that have most in common with it: the fewest that reach `limit` and can
    be parted from the rest; all of them where that cannot be.
    """
    whole = fit_cost(works)
    if len(works) < 2 or whole <= limit:
        return list(works), []
    costliest = dict(max(works, key=_alone).fit_steps)

    def how_alike(work: TrialWork) -> tuple[float, float]:
        return (-sum(cost for key, cost in work.fit_steps if key in costliest), -_alone(work))

    alike = sorted(works, key=how_alike)
    left = Counter(key for work in works for key, _ in work.fit_steps)
    done: dict[str, float] = {}
    piece = twice = 0.0
    for number, work in enumerate(alike[:-1], start=1):
        for key, cost in work.fit_steps:
            left[key] -= 1
            if key not in done:
                done[key] = cost
                piece += cost
                twice += cost if left[key] else 0.0
            elif not left[key]:
                twice -= cost
        if piece >= limit and twice <= _MOST_TWICE * min(piece, whole - piece + twice):
            return alike[:number], alike[number:]
    return list(works), []


def _alone(work: TrialWork) -> float:
    return sum(cost for _, cost in work.fit_steps)
