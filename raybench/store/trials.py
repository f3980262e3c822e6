"""How trials ended: one row a trial with identity, status, cost and merged states; the latest row of an id counts.

log = TrialLog(files)
log.append(TrialRow(trial_id=…, status="ok", …)); log.write(log.take())
log.read(skipped)["3f…"].status
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core import Status
from raybench.store.files import Files
from raybench.store.parquet import Skipped, parquet_bytes, read_folder

__all__ = ["TrialLog", "TrialRow"]

_KIND, _VERSION = "trials", 1
_FOLDER = "trials"
_SCHEMA = pa.schema(
    {
        "trial_id": pa.string(),
        "status": pa.string(),
        "reason": pa.string(),
        "num_examples": pa.int64(),
        "states": pa.binary(),
        "cost": pa.string(),
        "provenance": pa.string(),
        "identity": pa.string(),
        "finished_at": pa.float64(),
    }
)
_JSON = ("cost", "provenance", "identity")
_COMPACT_ABOVE = 64  # files; a night's run flushes a few times a minute


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A trial's end. `cost` and `provenance` (device, dtype, threads, versions) are flat and JSON-like."""

    trial_id: str
    status: Status
    reason: str | None = None
    num_examples: int = 0
    states: bytes = b""
    cost: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=dict)
    finished_at: float = field(default_factory=time.time)

    def as_record(self) -> dict[str, Any]:
        """The row as Parquet holds it."""
        names = _SCHEMA.names
        return {name: json.dumps(getattr(self, name)) if name in _JSON else getattr(self, name) for name in names}

    @property
    def basis(self) -> str:
        """What it was scored on, see `basis_of`; "" in rows of a version that did not say it."""
        return str(self.provenance.get("basis", ""))

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> TrialRow:
        """The row back from Parquet."""
        parsed = {name: json.loads(record[name]) for name in _JSON}
        return cls(**{**record, **parsed, "status": Status(record["status"])})


class TrialLog:
    """Appends rows; the newest of an id is its status."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._pending: list[TrialRow] = []

    def append(self, row: TrialRow) -> None:
        """Keep a row until it is written."""
        self._pending.append(row)

    def take(self) -> list[TrialRow]:
        """What is pending, to be written by the caller."""
        pending, self._pending = self._pending, []
        return pending

    def write(self, rows: list[TrialRow]) -> None:
        """Write rows as one file."""
        if rows:
            table = pa.Table.from_pylist([row.as_record() for row in rows], _SCHEMA)
            self._files.write(f"{_FOLDER}/part-{uuid.uuid4().hex}.parquet", parquet_bytes(table, _KIND, _VERSION))

    def read(self, skipped: Skipped, states_of: Collection[str] | None = None) -> dict[str, TrialRow]:
        """Every trial's latest row by id, with the states of these alone; None: of all.

        States have eight bytes an example: of a store of a thousand trials on a million rows eight gigabytes.
        """

        def kept(table: pa.Table) -> pa.Table:
            if states_of is None:
                return table
            # of buffers: pyarrow imports pandas, half a second, wherever it is given Python's own values
            bits = np.packbits(
                np.array([one in states_of for one in table["trial_id"].to_pylist()], bool), bitorder="little"
            )
            wanted = pa.Array.from_buffers(pa.bool_(), table.num_rows, [None, pa.py_buffer(bits)])
            ends = pa.py_buffer(np.zeros(table.num_rows + 1, np.int32))
            empty = pa.Array.from_buffers(pa.binary(), table.num_rows, [None, ends, pa.py_buffer(b"")])
            states = pc.if_else(wanted, table["states"], empty)
            return table.set_column(table.column_names.index("states"), "states", states)

        return _latest(read_folder(self._files, _FOLDER, _KIND, skipped, kept=kept).values())

    def ended(self, statuses: Collection[Status]) -> frozenset[str]:
        """Ids of trials whose latest row has one of these statuses; what cannot be read is not told here."""
        wanted = ["trial_id", "status", "finished_at"]
        tables = read_folder(self._files, _FOLDER, _KIND, lambda path, reason: None, columns=wanted).values()
        found = sorted((row["finished_at"], row["trial_id"], row["status"]) for t in tables for row in t.to_pylist())
        return frozenset(one for one, status in {one: status for _, one, status in found}.items() if status in statuses)

    def files(self) -> list[str]:
        """Names of the files that are there: others once a trial has ended."""
        return self._files.find(_FOLDER, ".parquet")

    def compact(self, skipped: Skipped) -> None:
        """Join many small files into one: the new file is written first, so a crash leaves rows twice, never none.

        Two may do so at once: each removes only what its own file holds, and neither can have read the other's.
        """
        if len(self.files()) <= _COMPACT_ABOVE:
            return
        tables = read_folder(self._files, _FOLDER, _KIND, skipped)
        self.write(list(_latest(tables.values()).values()))
        for path in tables:
            self._files.remove(path)


def _latest(tables: Iterable[pa.Table]) -> dict[str, TrialRow]:
    latest: dict[str, TrialRow] = {}
    for table in tables:
        for record in table.to_pylist():
            row = TrialRow.from_record(record)
            if row.trial_id not in latest or row.finished_at >= latest[row.trial_id].finished_at:
                latest[row.trial_id] = row
    return latest
