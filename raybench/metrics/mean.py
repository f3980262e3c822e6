"""Metrics that are the mean of one number a record: n and Σx to Σx⁴, exact, with an interval of these moments."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from raybench.metrics.metric import Contribution, Measure, Options, ratio, totals_of
from raybench.metrics.state import Cells, Sums

__all__ = ["mean", "mean_measure"]

Rows = Callable[[pa.Table, Options], np.ndarray | tuple[np.ndarray, np.ndarray]]


def mean_measure(
    name: str,
    columns: tuple[str, ...],
    rows: Rows,
    options: Options | None = None,
    *,
    quantities: bool = False,
    reads: Mapping[str, str] | None = None,
) -> Measure:
    """A measure of `rows(records, options)`: a number a record, or the numbers and which records count."""

    def contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
        found = rows(records, options)
        values, kept = found if isinstance(found, tuple) else (found, np.ones(records.num_rows, dtype=bool))
        values = np.where(kept, values, 0.0).astype(np.float64)
        return {"n": kept.astype(np.int64), "ignored": (~kept).astype(np.int64), "x": values}

    def totals(records: pa.Table, options: Options) -> dict[str, Cells]:
        added = contributions(records, options)
        values = added["x"]
        assert isinstance(values, np.ndarray)
        with np.errstate(over="ignore", under="ignore"):  # infinite beyond 1e154: the mean stays, its interval goes
            squares = values * values
            powers = {"xx": squares, "xxx": squares * values, "xxxx": squares * squares}
        return totals_of({**added, **powers, "moments": added["n"]})

    return Measure(
        name=name,
        weights=True,
        columns=columns,
        options=options or {},
        contributions=contributions,
        totals=totals,
        quantities=quantities,
        reads=reads or {"x": name},
    )


def mean(sums: Sums, options: Options) -> np.ndarray:
    return ratio(sums["x"], sums["n"])
