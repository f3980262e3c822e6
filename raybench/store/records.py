"""Per-example records: one row an example of a trial's test split, written by the actor that scored it.

write_records(files, trial_id, basis, start, stop, table)
read_records(files, trial_id, basis, skipped)          # in the order of ids, every example once

A file's name begins with the basis it was scored on; what lies beside it on another basis is not read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from raybench.store.files import Files
from raybench.store.parquet import Skipped, parquet_bytes, read_folder, read_footer
from raybench.store.shards import ShardCommit

__all__ = [
    "compact_records",
    "count_records",
    "has_records",
    "list_records",
    "read_records",
    "sum_disjoint",
    "write_records",
]

_KIND, _VERSION = "records", 1
_COMPACT_ABOVE = 4  # files a trial
_WHOLE = "all"  # in the name of the file that holds all of a trial's records
_ALL_BATCHES = 2**31


def write_records(files: Files, trial_id: str, basis: str, start: int, stop: int, table: pa.Table) -> None:
    """Write the records of batches [start, stop); the same shard scored again writes the same file."""
    path = _part(trial_id, basis, start, stop)
    files.write(path, parquet_bytes(table, _KIND, _VERSION))


def read_records(
    files: Files, trial_id: str, basis: str, skipped: Skipped, columns: list[str] | None = None
) -> pa.Table | None:
    """All records of a trial on this basis, sorted by id, repeats of an id dropped; None when there are none."""
    tables = read_folder(files, _folder(trial_id), _KIND, skipped, columns=columns, prefix=_prefix(basis))
    return _unique(list(tables.values())) if tables else None


def list_records(files: Files) -> dict[str, list[str]]:
    """The record files of every trial of the store, by trial id."""
    by_trial: dict[str, list[str]] = {}
    for path in files.find("records", ".parquet"):
        by_trial.setdefault(path.split("/")[1].removeprefix("trial="), []).append(path)
    return by_trial


def count_records(files: Files, trial_id: str, paths: list[str], basis: str, skipped: Skipped) -> int:
    """How many examples have a record on this basis in these files of a trial: their footers say it, no row is read.

    Files that overlap, as after a run with another size of shards, are rare: of those the ids are read.
    """
    paths = [path for path in paths if _is_on(path, basis)]
    whole = [path for path in paths if path.endswith(f"{_prefix(basis)}{_WHOLE}.parquet")]
    for chosen in (whole, [path for path in paths if path not in whole]):
        footers = {path: read_footer(files, path, _KIND) for path in chosen}
        for path, footer in footers.items():
            if footer.reason:
                skipped(path, footer.reason)
        good = {_range(path): footer.num_rows for path, footer in footers.items() if not footer.reason}
        if good:
            total = sum_disjoint(good)
            if total is None:
                ids = read_records(files, trial_id, basis, skipped, columns=["id"])
                total = ids.num_rows if ids is not None else 0
            return total
    return 0


def has_records(files: Files, commit: ShardCommit, paths: Collection[str], skipped: Skipped) -> bool:
    """Whether the records of a shard are among these files, whole as far as its footer says."""
    path = _part(commit.trial_id, commit.basis, commit.start, commit.stop)
    if path not in paths:
        return False
    footer = read_footer(files, path, _KIND)
    if footer.reason:
        skipped(path, f"{footer.reason}; scored again")
    return not footer.reason and footer.num_rows == commit.num_examples


def sum_disjoint(rows: Mapping[tuple[int, int], int]) -> int | None:
    """Rows of all files, given by the batches [start, stop) that they hold; None where two hold the same batch."""
    ranges = sorted(rows)
    if any(later[0] < earlier[1] for earlier, later in pairwise(ranges)):
        return None
    return sum(rows.values())


def compact_records(files: Files, trial_id: str, basis: str, skipped: Skipped) -> None:
    """Join a trial's record files into one, when all of them can be read; those on another basis are removed."""
    folder, unread = _folder(trial_id), set()

    def note(path: str, reason: str) -> None:
        unread.add(path)
        skipped(path, reason)

    found = files.find(folder, ".parquet")
    paths = [path for path in found if _is_on(path, basis)]
    for path in set(found) - set(paths):
        files.remove(path)
    if len(paths) <= _COMPACT_ABOVE:
        return
    tables = read_folder(files, folder, _KIND, note, prefix=_prefix(basis))
    if unread:
        return
    whole = f"{folder}/{_prefix(basis)}{_WHOLE}.parquet"
    files.write(whole, parquet_bytes(_unique(list(tables.values())), _KIND, _VERSION))
    for path in tables:
        if path != whole:
            files.remove(path)


def _unique(tables: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables, promote_options="default").sort_by("id").combine_chunks()
    if table.num_rows < 2:
        return table
    ids = table.column("id").combine_chunks()
    first = pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1))
    return table.filter(pa.concat_arrays([pa.array([True]), first]))


def _is_on(path: str, basis: str) -> bool:
    return path.rpartition("/")[2].startswith(_prefix(basis))


def _range(path: str) -> tuple[int, int]:
    """The batches that a file's name says it holds; all of them where it says none."""
    start, _, stop = path.removesuffix(".parquet").rpartition("-")
    start = start.rpartition("-")[2]
    return (int(start), int(stop)) if start.isdecimal() and stop.isdecimal() else (0, _ALL_BATCHES)


def _prefix(basis: str) -> str:
    """What the names of a trial's files begin with; older rows name no basis, nor do their files."""
    return f"part-{basis}-" if basis else "part-"


def _part(trial_id: str, basis: str, start: int, stop: int) -> str:
    return f"{_folder(trial_id)}/{_prefix(basis)}{start:08d}-{stop:08d}.parquet"


def _folder(trial_id: str) -> str:
    return f"records/trial={trial_id}"
