"""What a run returns: the ranking as a table, the scores behind it, and where both were written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from raybench.results.settled import is_settled
from raybench.results.tables import OVERALL

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ranking"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """`table` is ranking.parquet, `scores` scores.parquet and `drops`, where test rows are perturbed, drops.parquet.

    `tracebacks` holds, by trial id, those of the trials that failed in this process' run.
    """

    run_id: str
    table: pa.Table
    scores: pa.Table
    location: str
    notes: tuple[str, ...] = ()
    drops: pa.Table | None = None
    tracebacks: dict[str, str] = field(default_factory=dict)

    def to_pandas(self) -> pd.DataFrame:
        """The ranking as a data frame, best first."""
        return self.table.to_pandas()

    @property
    def complete(self) -> bool:
        """Whether every trial ended well, or was stopped by a race."""
        rows = self.table.select(["dataset", "status", "reason"]).to_pylist()
        return all(is_settled(row["status"], row["reason"]) for row in rows if row["dataset"] != OVERALL)
