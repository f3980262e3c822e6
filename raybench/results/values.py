"""The values of a run's trials, as its scores.parquet has them.

values_of(run.directory)["3f…", "accuracy"].value
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import StoreError, summary
from raybench.store.runs import RunDirectory

__all__ = ["Value", "values_of"]


class Value(NamedTuple):
    """Over all examples and classes."""

    value: float | None
    low: float | None
    high: float | None
    higher_is_better: bool | None


def values_of(run: RunDirectory) -> dict[tuple[str, str], Value]:
    """By trial id and metric; StoreError where the table is torn."""
    try:
        table = run.read_table("scores")
        whole = pc.and_(pc.is_null(table.column("class")), pc.is_null(table.column("slice")))
        rows = table.filter(whole).select(["trial_id", "metric", *Value._fields]).to_pylist()
    except (FileNotFoundError, pa.ArrowException, KeyError) as error:
        path = run.location("scores.parquet")
        raise StoreError(f"{path}: torn or no table of raybench ({summary(error)}); rank its job again") from error
    return {(row["trial_id"], row["metric"]): Value(*(row[name] for name in Value._fields)) for row in rows}
