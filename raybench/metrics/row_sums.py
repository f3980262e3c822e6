"""The sums of single records: each row as a replicate of its own, so that a formula says what one example is worth."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.metrics.metric import Contribution, Metric, OneHot, Options
from raybench.metrics.state import Field, Sums

__all__ = ["row_sums", "successes"]

_CHUNK = 1024


def row_sums(contributions: dict[str, Contribution], rows: slice) -> Sums:
    """Sums with one replicate a row."""
    fields = {}
    for name, contribution in contributions.items():
        if isinstance(contribution, OneHot):
            codes = contribution.codes[rows]
            places = np.unique(codes[codes >= 0])
            fields[name] = Field(places, (codes[:, None] == places).astype(np.float64), contribution.size)
        else:
            part = contribution[rows].astype(np.float64)
            size = None if contribution.ndim == 1 else contribution.shape[1]
            fields[name] = Field(np.arange(size or 1), part.reshape(len(part), -1), size)
    return Sums(fields)


def successes(metric: Metric, options: Options, records: pa.Table) -> np.ndarray | None:
    """Whether each record is a success of the metric's proportion, [N]; None where a record is no single trial."""
    assert metric.proportion is not None
    contributions = metric.measure.contributions(records, options)
    found = np.zeros(records.num_rows, dtype=bool)
    for start in range(0, records.num_rows, _CHUNK):
        rows = slice(start, start + _CHUNK)
        hits_N, trials_N = metric.proportion(row_sums(contributions, rows), options)
        if (trials_N > 1).any() or ((trials_N == 0) & (hits_N == 0) & ~_ignored(contributions, rows)).any():
            return None
        found[rows] = hits_N == 1
    return found


def _ignored(contributions: dict[str, Contribution], rows: slice) -> np.ndarray:
    counted = contributions["n"]
    assert isinstance(counted, np.ndarray)
    return counted[rows] == 0
