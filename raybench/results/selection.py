"""What choosing by the test examples does: how sure the best is best, how much too good it looks, what is no bargain.

    best_shares(replicates_KR, higher_is_better=True)           # [0.7, 0.3, 0.0]: P(best), equal bests share
    optimism(values_K, replicates_KR, higher_is_better=True)    # 0.004: the best of K seems so much better than it is
    front(rows, "accuracy", higher_is_better=True)              # [True, False, …]: none is better and cheaper

Pure functions; replicates are bootstrap values, drawn alike for every candidate (`Entry.replicates`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raybench.core import Status
from raybench.results.criterion import Criterion
from raybench.results.entry import Configuration, Entry

__all__ = ["best_shares", "front", "optimism", "optimism_notes"]

_COSTS = {"fit_seconds": 1, "examples_per_second": -1}  # +1: less is better


def best_shares(replicates_KR: np.ndarray, *, higher_is_better: bool) -> list[float]:
    """Of each candidate the share of draws in which it is the best; where several are, each counts its part."""
    signed = replicates_KR if higher_is_better else -replicates_KR
    is_best = signed == signed.max(axis=0)
    return [float(share) for share in (is_best / is_best.sum(axis=0)).mean(axis=1)]


def optimism(values_K: Sequence[float], replicates_KR: np.ndarray, *, higher_is_better: bool) -> float:
    """By how much the best of K, chosen and told by the same examples, is expected to look better than it is (≥ 0).

    Efron's estimate (1983): whoever wins a draw is told by that draw; how much better than by all examples?
    """
    sign = 1.0 if higher_is_better else -1.0
    signed = sign * replicates_KR
    winner_R = signed.argmax(axis=0)
    told_R = signed[winner_R, np.arange(signed.shape[1])]
    return max(0.0, float(np.mean(told_R - sign * np.asarray(values_K, dtype=float)[winner_R])))


def front(rows: Sequence[Mapping[str, Any]], metric: str, *, higher_is_better: bool) -> list[bool | None]:
    """Whether no other row is as good in quality, fit seconds and examples/s and better in one; None: has no value.

    A cost that a row lacks is compared with nobody's.
    """
    sign = 1 if higher_is_better else -1
    points = [None if row.get(metric) is None else _point(row, sign * row[metric]) for row in rows]
    return [None if one is None else not any(_beats(other, one) for other in points if other is not None)
            for one in points]  # fmt: skip


def optimism_notes(
    entries: Sequence[Entry], rank_by: Mapping[str, str], higher_is_better: Mapping[str, bool]
) -> list[str]:
    """One line a candidate and dataset whose configurations are ranked on the examples that tell how good they are.

    `rank_by` says what ranks each dataset, `higher_is_better` which way each metric goes.
    """
    seeds: dict[tuple[str, str], dict[Configuration, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in (one for one in entries if one.trial.dataset.scored == "test"):
        seeds[entry.trial.dataset.name, entry.trial.candidate][Configuration.of(entry.trial)].append(entry)
    notes = []
    for (dataset, candidate), grid in seeds.items():
        if len(grid) < 2:
            continue
        metric = Criterion.of(rank_by[dataset], higher_is_better).metric
        measured = [found for group in grid.values() if (found := _measured(group, metric)) is not None]
        line = f"{candidate} on {dataset}: {len(grid)} configurations are ranked on the test examples"
        if metric is None or len(measured) < 2:  # of mean ranks no amount would mean anything
            notes.append(f"{line}; the best of them looks better than it is")
            continue
        values, replicates = zip(*measured, strict=True)
        amount = optimism(values, np.stack(replicates), higher_is_better=higher_is_better[metric])
        notes.append(
            f"{line}; the best of {len(measured)} is expected to look {amount:.2g} better in {metric} than it is "
            "(paired bootstrap)"
        )
    return notes


def _measured(group: Sequence[Entry], metric: str | None) -> tuple[float, np.ndarray] | None:
    values, drawn = [], []
    for entry in group:
        score, replicates = entry.scores.get(metric or ""), entry.replicates.get(metric or "")
        if entry.status is not Status.OK or score is None or score.value is None or replicates is None:
            return None
        values.append(score.value)
        drawn.append(replicates)
    return sum(values) / len(values), np.mean(drawn, axis=0)


def _point(row: Mapping[str, Any], quality: float) -> tuple[float, ...]:
    """All to be as low as can be; NaN: unknown."""
    costs = (sign * row[name] if row.get(name) is not None else float("nan") for name, sign in _COSTS.items())
    return (-quality, *costs)


def _beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    known = [(x, y) for x, y in zip(a, b, strict=True) if x == x and y == y]
    return all(x <= y for x, y in known) and any(x < y for x, y in known)
