"""Records that a process has just scored, held until their trial is measured, so that nothing is read again for it.

held = HeldRecords()
held.add(trial_id, basis, start, stop, table)     # once they are in the store
held.take(row)                                    # all of the trial's, or None: they are in the store

They are a bounded number of bytes: what has been held longest is let go of, whole trials at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from raybench.store.records import sum_disjoint
from raybench.store.trials import TrialRow

__all__ = ["HeldRecords"]

_MOST_BYTES = 64 << 20
_ID = "id"


@dataclass(slots=True)
class _Trial:
    basis: str
    parts: dict[tuple[int, int], pa.Table] = field(default_factory=dict)  # by the batches [start, stop)
    num_bytes: int = 0


class HeldRecords:
    """Trials on the same rows share their ids, which are most of the bytes."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._num_bytes = 0
        self._trials: dict[str, _Trial] = {}
        self._ids: dict[tuple[int, int], pa.ChunkedArray] = {}  # those seen last of a range of batches

    def add(self, trial_id: str, basis: str, start: int, stop: int, table: pa.Table) -> None:
        """Hold the records of batches [start, stop); those of the trial on another basis are let go of."""
        trial = self._trials.get(trial_id)
        if trial is None or trial.basis != basis:
            self._drop(trial_id)
            trial = self._trials[trial_id] = _Trial(basis)
        every = pa.array(np.arange(table.num_rows))
        held = table.drop_columns(_ID).take(every)  # a copy: nothing that they are a slice of stays in memory for them
        num_bytes, ids = held.nbytes, self._ids.get((start, stop))
        if ids is None or not ids.equals(table.column(_ID)):
            ids = self._ids[start, stop] = table.column(_ID).take(every)
            num_bytes += ids.nbytes
        if (start, stop) not in trial.parts:
            trial.num_bytes += num_bytes
            self._num_bytes += num_bytes
        trial.parts[start, stop] = held.append_column(_ID, ids)
        while self._num_bytes > self._most_bytes and self._trials:
            self._drop(next(iter(self._trials)))

    def take(self, row: TrialRow) -> pa.Table | None:
        """All records of an ended trial in the order of its batches, no longer held; None unless they are whole."""
        trial = self._trials.get(row.trial_id)
        self._drop(row.trial_id)
        if trial is None or trial.basis != row.basis:
            return None
        total = sum_disjoint({batches: table.num_rows for batches, table in trial.parts.items()})
        if total != row.num_examples:
            return None
        return pa.concat_tables([trial.parts[batches] for batches in sorted(trial.parts)]).combine_chunks()

    def _drop(self, trial_id: str) -> None:
        trial = self._trials.pop(trial_id, None)
        if trial is not None:
            self._num_bytes -= trial.num_bytes
        if not self._trials:
            self._ids.clear()
