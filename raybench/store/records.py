"""Per-example records: one row an example of a trial's test split, written by the actor that scored it.

write_records(files, trial_id, start, stop, table)
read_records(files, trial_id, skipped)          # in the order of ids, every example once
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from raybench.store.files import Files, Skipped, parquet_bytes

__all__ = ["compact_records", "count_records", "read_records", "write_records"]

_KIND, _VERSION = "records", 1
_COMPACT_ABOVE = 4  # files a trial


def write_records(files: Files, trial_id: str, start: int, stop: int, table: pa.Table) -> None:
    """Write the records of batches [start, stop); the same shard scored again writes the same file."""
    files.write(f"{_folder(trial_id)}/part-{start:08d}-{stop:08d}.parquet", parquet_bytes(table, _KIND, _VERSION))


def read_records(files: Files, trial_id: str, skipped: Skipped, columns: list[str] | None = None) -> pa.Table | None:
    """All records of a trial sorted by id, repeats of an id dropped; None when there are none."""
    paths = files.find(_folder(trial_id), ".parquet")
    tables = [table for _, table in files.read_tables(paths, _KIND, skipped, columns)]
    return _unique(tables) if tables else None


def count_records(files: Files, trial_id: str, skipped: Skipped) -> int:
    """How many examples of a trial have a record."""
    ids = read_records(files, trial_id, skipped, columns=["id"])
    return ids.num_rows if ids is not None else 0


def compact_records(files: Files, trial_id: str, skipped: Skipped) -> None:
    """Join a trial's record files into one, when all of them can be read."""
    paths = files.find(_folder(trial_id), ".parquet")
    if len(paths) <= _COMPACT_ABOVE:
        return
    tables = [table for _, table in files.read_tables(paths, _KIND, skipped)]
    if len(tables) < len(paths):
        return
    files.write(f"{_folder(trial_id)}/part-all.parquet", parquet_bytes(_unique(tables), _KIND, _VERSION))
    for path in paths:
        if not path.endswith("/part-all.parquet"):
            files.remove(path)


def _unique(tables: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables, promote_options="default").sort_by("id").combine_chunks()
    if table.num_rows < 2:
        return table
    ids = table.column("id").combine_chunks()
    first = pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1))
    return table.filter(pa.concat_arrays([pa.array([True]), first]))


def _folder(trial_id: str) -> str:
    return f"records/trial={trial_id}"
