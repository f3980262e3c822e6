"""Ranks with their uncertainty: by value, and by how often each rank occurs over paired bootstrap replicates.

    rank([0.9, 0.7, 0.9], higher_is_better=True)                  # [1, 3, 1]
    rank_intervals(replicates_KR, higher_is_better=True)          # [(1, 2), (3, 3), (1, 2)]

The interval of a rank is that of Goldstein and Spiegelhalter (1996): the ranks within each replicate, and of those
the central 95 %; replicates of all candidates use the same draw of examples, so the comparison is paired.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["rank", "rank_intervals", "ranks_of_replicates"]


def rank(values: Sequence[float], *, higher_is_better: bool) -> list[int]:
    """1 for the best; equal values share the better rank (1, 1, 3)."""
    signed = [-value if higher_is_better else value for value in values]
    return [1 + sum(other < value for other in signed) for value in signed]


def ranks_of_replicates(replicates_KR: np.ndarray, *, higher_is_better: bool) -> tuple[np.ndarray, np.ndarray]:
    """Best and worst rank of each candidate in each replicate, [K, R]: they differ where candidates tie."""
    signed = -replicates_KR if higher_is_better else replicates_KR
    order = np.sort(signed, axis=0)
    best, worst = np.empty(signed.shape, dtype=np.int64), np.empty(signed.shape, dtype=np.int64)
    for column in range(signed.shape[1]):
        best[:, column] = 1 + np.searchsorted(order[:, column], signed[:, column], "left")
        worst[:, column] = np.searchsorted(order[:, column], signed[:, column], "right")
    return best, worst


def rank_intervals(best_KR: np.ndarray, worst_KR: np.ndarray) -> list[tuple[int, int]]:
    """The central 95 % of the replicates' ranks, as whole ranks that occur; means of ranks are rounded outwards."""
    num_replicates = best_KR.shape[1]
    low = np.sort(best_KR, axis=1)[:, int(0.025 * num_replicates)]
    high = np.sort(worst_KR, axis=1)[:, int(np.ceil(0.975 * num_replicates)) - 1]
    return [(int(np.floor(a)), int(np.ceil(b))) for a, b in zip(low, high, strict=True)]
