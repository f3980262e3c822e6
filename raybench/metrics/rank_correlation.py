"""Spearman's ρ and Kendall's τ-b of target and prediction, ties included, and each record's influence."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import numbers_of
from raybench.metrics.metric import Options, TableMetric

__all__ = ["KENDALL", "SPEARMAN"]


def _problem(records: pa.Table, options: Options) -> str | None:
    for column in ("target", "prediction"):
        values = numbers_of(records, column)
        if np.isnan(values).any():
            return f"{int(np.isnan(values).sum())} of {records.num_rows} records have NaN for {column!r}"
        if values.size and (values == values[0]).all():
            return f"every {column} is the same: there is no order to compare"
    return None


def _spearman(records: pa.Table, options: Options) -> float:
    """Pearson's correlation of mid-ranks; ranks are doubled to integers, so the moments are exact."""
    t, p = (_doubled_ranks(numbers_of(records, column)) for column in ("target", "prediction"))
    n = t.size
    mean = n + 1  # of doubled ranks
    tp, tt, pp = (_exact_dot(a - mean, b - mean) for a, b in ((t, p), (t, t), (p, p)))
    return float(np.clip(tp / (tt**0.5 * pp**0.5), -1.0, 1.0))


def _exact_dot(a: np.ndarray, b: np.ndarray) -> int:
    """Σ a·b of integers; blocks of 1,024 fit int64 up to 40 million records, their sum is a Python integer."""
    return int(np.add.reduceat(a * b, np.arange(0, a.size, 1024)).astype(object).sum())


def _doubled_ranks(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values)
    return np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1


def _kendall(records: pa.Table, options: Options) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(numbers_of(records, "target"), numbers_of(records, "prediction")).statistic)


def _spearman_influence(records: pa.Table, options: Options) -> np.ndarray:
    """Of ρ = C / √(A·B), the moments of centred mid-ranks u and v, which themselves move with every weight."""
    x, y = (numbers_of(records, column) for column in ("target", "prediction"))
    u, v = ((_doubled_ranks(values) - values.size - 1) / 2 for values in (x, y))
    c, a, b = (float((s * t).sum()) for s, t in ((u, v), (u, u), (v, v)))
    d_c = u * v + _sum_above(x, v) + _sum_above(y, u)
    d_a, d_b = u * u + 2 * _sum_above(x, u), v * v + 2 * _sum_above(y, v)
    scale = (a * b) ** 0.5
    return np.asarray(d_c / scale - c / scale / 2 * (d_a / a + d_b / b))


def _sum_above(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Σ of the values of larger keys and half of those of equal ones, for values that sum to 0."""
    order = np.argsort(keys, kind="stable")
    total = np.r_[0.0, np.cumsum(values[order])]
    ordered = keys[order]
    below, through = (np.searchsorted(ordered, keys, side) for side in ("left", "right"))
    return np.asarray(-(total[below] + total[through]) / 2)


def _kendall_influence(records: pa.Table, options: Options) -> np.ndarray:
    """Of τ-b = S / √(A·B): what each record's pairs add to concordance and to the pairs that are not tied."""
    x, y = (numbers_of(records, column) for column in ("target", "prediction"))
    concordant = (_dominated(x, y) + _dominated(-x, -y) - _dominated(x, -y) - _dominated(-x, y)).astype(np.float64)
    untied_x, untied_y = ((values.size - _equal(values)).astype(np.float64) for values in (x, y))
    a, b = untied_x.sum(), untied_y.sum()
    value = concordant.sum() / (a * b) ** 0.5
    return np.asarray(2 * concordant / (a * b) ** 0.5 - value * (untied_x / a + untied_y / b))


def _equal(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values)
    return np.searchsorted(ordered, values, "right") - np.searchsorted(ordered, values, "left")


def _dominated(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How many records are below each in both x and y: merges of ever larger blocks, O(n log² n)."""
    n = x.size
    rank = np.searchsorted(np.sort(y), y, "left")
    order = np.lexsort((-rank, x))  # of equal x the larger y first, so that none counts the other
    rank, counts = rank[order], np.zeros(n, dtype=np.int64)
    width = 1
    while width < n:
        block = np.arange(n) // width
        key = block * np.int64(n + 1) + rank
        ordered = np.sort(key)  # within each block by rank
        right = np.flatnonzero(block % 2 == 1)
        left = block[right] - 1
        counts[right] += np.searchsorted(ordered, left * np.int64(n + 1) + rank[right], "left") - left * width
        width *= 2
    found = np.empty(n, dtype=np.int64)
    found[order] = counts
    return found


SPEARMAN = TableMetric(
    columns=("target", "prediction"),
    quantities=True,
    measure=_spearman,
    influence=_spearman_influence,
    problem=_problem,
    higher_is_better=True,
    undefined="every target, or every prediction, is the same",
    unit="correlation",
    range=(-1.0, 1.0),
    source="Spearman 1904, doi:10.2307/1412159",
)
KENDALL = TableMetric(
    columns=("target", "prediction"),
    quantities=True,
    measure=_kendall,
    influence=_kendall_influence,
    problem=_problem,
    higher_is_better=True,
    undefined="every target, or every prediction, is the same",
    unit="correlation",
    range=(-1.0, 1.0),
    source="Kendall 1945, doi:10.1093/biomet/33.3.239 (tau-b)",
)
