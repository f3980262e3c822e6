"""What a run returns: the ranking as a table, the scores behind it, and where both were written."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from raybench.job.rank_by import weights_of
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

    def _repr_html_(self) -> str:
        """What a notebook shows: where each candidate stands, and the notes; names are escaped."""
        frame = self.to_pandas().query("split == 'test'")
        named = [name for rank_by in frame["rank_by"].dropna() for name in weights_of(rank_by)]
        around = [f"{name}{end}" for name in dict.fromkeys(named) if name in frame for end in ("", "_low", "_high")]
        shown = frame[["dataset", "rank", "candidate", "mean_rank", *around, "fit_seconds", "status"]]
        table = shown.dropna(axis=1, how="all").to_html(index=False, na_rep="–", float_format="{:.3f}".format, border=0)
        return table + "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)

    @property
    def complete(self) -> bool:
        """Whether every trial ended well, or was stopped by a race."""
        rows = self.table.select(["dataset", "status", "reason"]).to_pylist()
        return all(is_settled(row["status"], row["reason"]) for row in rows if row["dataset"] != OVERALL)
