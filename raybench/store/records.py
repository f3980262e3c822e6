"""Per-example records: one row an example of a trial's test split, written by the actor that scored it.

write_records(files, trial_id, basis, start, stop, table)
read_records(files, trial_id, basis, skipped)          # in the order of ids, every example once

A file's name begins with the basis it was scored on; what lies beside it on another basis is not read.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from raybench.store.files import Files, Skipped, parquet_bytes

__all__ = ["compact_records", "count_records", "read_records", "write_records"]

_KIND, _VERSION = "records", 1
_COMPACT_ABOVE = 4  # files a trial


def write_records(files: Files, trial_id: str, basis: str, start: int, stop: int, table: pa.Table) -> None:
    """Write the records of batches [start, stop); the same shard scored again writes the same file."""
    path = f"{_folder(trial_id)}/{_prefix(basis)}{start:08d}-{stop:08d}.parquet"
    files.write(path, parquet_bytes(table, _KIND, _VERSION))


def read_records(
    files: Files, trial_id: str, basis: str, skipped: Skipped, columns: list[str] | None = None
) -> pa.Table | None:
    """All records of a trial on this basis, sorted by id, repeats of an id dropped; None when there are none."""
    paths = _paths(files, trial_id, basis)
    tables = [table for _, table in files.read_tables(paths, _KIND, skipped, columns)]
    return _unique(tables) if tables else None


def count_records(files: Files, trial_id: str, basis: str, skipped: Skipped) -> int:
    """How many examples of a trial have a record."""
    ids = read_records(files, trial_id, basis, skipped, columns=["id"])
    return ids.num_rows if ids is not None else 0


def compact_records(files: Files, trial_id: str, basis: str, skipped: Skipped) -> None:
    """Join a trial's record files into one, when all of them can be read; those on another basis are removed."""
    paths = _paths(files, trial_id, basis)
    for path in set(files.find(_folder(trial_id), ".parquet")) - set(paths):
        files.remove(path)
    if len(paths) <= _COMPACT_ABOVE:
        return
    tables = [table for _, table in files.read_tables(paths, _KIND, skipped)]
    if len(tables) < len(paths):
        return
    whole = f"{_folder(trial_id)}/{_prefix(basis)}all.parquet"
    files.write(whole, parquet_bytes(_unique(tables), _KIND, _VERSION))
    for path in paths:
        if path != whole:
            files.remove(path)


def _unique(tables: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables, promote_options="default").sort_by("id").combine_chunks()
    if table.num_rows < 2:
        return table
    ids = table.column("id").combine_chunks()
    first = pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1))
    return table.filter(pa.concat_arrays([pa.array([True]), first]))


def _paths(files: Files, trial_id: str, basis: str) -> list[str]:
    found = files.find(_folder(trial_id), ".parquet")
    return [path for path in found if path.rpartition("/")[2].startswith(_prefix(basis))]


def _prefix(basis: str) -> str:
    """What the names of a trial's files begin with; older rows name no basis, nor do their files."""
    return f"part-{basis}-" if basis else "part-"


def _folder(trial_id: str) -> str:
    return f"records/trial={trial_id}"
