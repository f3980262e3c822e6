"""What a job's dataset is once it is read: rows by split, labels, a fingerprint, notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from raybench.data.later import LaterSplits

__all__ = ["LoadedDataset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedDataset:
    """A dataset ready for a task; `splits` has test, mostly train, sometimes validation."""

    name: str
    splits: Mapping[str, pa.Table]
    labels: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()

    @property
    def num_rows(self) -> dict[str, int]:
        """By split, known also where no row is read yet."""
        if isinstance(self.splits, LaterSplits):
            return dict(self.splits.num_rows)
        return {name: table.num_rows for name, table in self.splits.items()}
