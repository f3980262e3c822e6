"""Spearman's ρ and Kendall's τ-b of target and prediction, ties included, by scipy."""

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


SPEARMAN = TableMetric(
    columns=("target", "prediction"),
    quantities=True,
    measure=_spearman,
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
    problem=_problem,
    higher_is_better=True,
    undefined="every target, or every prediction, is the same",
    unit="correlation",
    range=(-1.0, 1.0),
    source="Kendall 1945, doi:10.1093/biomet/33.3.239 (tau-b)",
)
