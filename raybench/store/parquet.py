"""Parquet files of a store: each carries its kind and schema version; what cannot be trusted is named and skipped.

files.write(path, parquet_bytes(table, "trials", 1))
read_folder(files, "trials", "trials", skipped)         # {path: table}, whole also while files are joined
count_rows(files, path, "records")                      # from the file's footer
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from raybench.store.files import Files

__all__ = ["Footer", "Skipped", "parquet_bytes", "read_folder", "read_footer", "table_of"]

Skipped = Callable[[str, str], None]  # called with a file's path and why it was not used

_SCHEMA_KEY = b"raybench.schema"
_MAGIC = b"PAR1"
_FEW = 4  # files of a directory, read one by one: three take 2.5 ms, with threads that are started for them 4.1
_THREADS = 16  # reads of many small files wait on the disk or the network, not on the processor
_PASSES = 20  # of a folder that grows or shrinks while it is read
_TAIL_BYTES = 4096  # of a file; longer footers need a second read


class Footer(NamedTuple):
    """What a file's footer says; `reason` is why the file is of no use, or ""."""

    num_rows: int
    reason: str = ""


def parquet_bytes(table: pa.Table, kind: str, version: int, metadata: dict[str, Any] | None = None) -> bytes:
    """A table as Parquet that carries its kind and schema version."""
    merged = {**(table.schema.metadata or {}), _SCHEMA_KEY: f"{kind}/{version}".encode(), **(metadata or {})}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(merged), sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue().to_pybytes()


def table_of(data: bytes, columns: list[str] | None = None) -> pa.Table:
    """A file's table, its pages held against their checksums.

    By ParquetFile: `read_table` goes through `pyarrow.dataset`, which imports pandas.
    """
    return pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read(columns)


def read_folder(
    files: Files,
    folder: str,
    kind: str,
    skipped: Skipped,
    *,
    columns: list[str] | None = None,
    prefix: str = "",
    kept: Callable[[pa.Table], pa.Table] = lambda table: table,
) -> dict[str, pa.Table]:
    """The tables of a folder's files, by path in order; torn and foreign ones are reported and left out.

    Of each table no more is held than `kept` gives back.

    Those who join files write the whole one first and remove the parts then. So the folder is listed again until
    there is nothing new in it: of a part that has gone meanwhile, the rows are in a file of the next listing.
    """
    tables: dict[str, pa.Table | None] = {}
    for _ in range(_PASSES):
        found = [path for path in files.find(folder, ".parquet") if path.rpartition("/")[2].startswith(prefix)]
        new = [path for path in found if path not in tables]
        if not new:
            break
        for path, (table, reason) in zip(new, _load_all(files, new, kind, columns, kept), strict=True):
            tables[path] = table
            if reason:
                skipped(path, reason)
    return {path: table for path, table in sorted(tables.items()) if table is not None}


def read_footer(files: Files, path: str, kind: str) -> Footer:
    """The number of rows of a file, read from its end."""
    try:
        tail = files.read(path, -_TAIL_BYTES)
        if len(tail) < 12 or tail[-4:] != _MAGIC:
            return Footer(0, "torn or not Parquet")
        (length,) = struct.unpack("<I", tail[-8:-4])
        if length + 8 > len(tail):
            tail = files.read(path, -length - 8)
    except FileNotFoundError:
        return Footer(0, "gone")
    try:  # what is before the footer is not looked at
        metadata = pq.read_metadata(pa.BufferReader(_MAGIC + tail[-length - 8 :]))
    except (pa.ArrowException, OSError) as error:
        return Footer(0, _torn(error))
    return Footer(metadata.num_rows, _foreign(metadata.metadata, kind))


def _load_all(
    files: Files, paths: list[str], kind: str, columns: list[str] | None, kept: Callable[[pa.Table], pa.Table]
) -> Iterable[tuple[pa.Table | None, str]]:
    def load(path: str) -> tuple[pa.Table | None, str]:
        try:
            data = files.read(path)
        except FileNotFoundError:
            return None, ""  # joined with others since it was listed
        try:
            table = table_of(data, columns)
        except (pa.ArrowException, OSError) as error:
            return None, _torn(error)
        reason = _foreign(table.schema.metadata, kind)
        return (None, reason) if reason else (kept(table), "")

    if len(paths) == 1 or (files.is_local and len(paths) <= _FEW):
        return [load(path) for path in paths]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(load, paths))


def _torn(error: BaseException) -> str:
    return f"torn or not Parquet ({str(error).splitlines()[0]})"


def _foreign(metadata: dict[bytes, bytes] | None, kind: str) -> str:
    found = (metadata or {}).get(_SCHEMA_KEY, b"").decode(errors="replace")
    return "" if found.split("/")[0] == kind else f"not a {kind} file of raybench"
