"""What a job's dataset is once it is read: rows by split, labels, a fingerprint, notes."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

__all__ = ["LoadedDataset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedDataset:
    """A dataset ready for a task; `splits` has test, mostly train, sometimes validation."""

    name: str
    splits: dict[str, pa.Table]
    labels: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
