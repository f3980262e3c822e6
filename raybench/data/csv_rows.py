"""Rows of a CSV file as text: whole, or a piece at a time.

csv_rows("a.csv", {"text"})                         # RawSplit
for table in csv_pieces("a.csv", ["text"]): ...     # the same rows, some at a time

Cells are text: pyarrow would read the label 01 as 1 and the text 7 as a number, and of pieces each in its own way.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from raybench.core.errors import DataError
from raybench.data.raw_split import RawSplit, open_file, refuse_twice

__all__ = ["csv_names", "csv_pieces", "csv_rows"]

_BLOCK_BYTES = 1 << 20  # read at once; a row must lie in one
_LARGE_BYTES = 64 << 20  # pyarrow reads up to 32 ahead


def csv_rows(file: str, wanted: Collection[str]) -> RawSplit:
    """All rows; the columns that nobody wants are not built."""
    names = csv_names(file)
    refuse_twice(names, wanted)
    chosen = [name for name in names if name in wanted]
    types = dict.fromkeys(chosen, pa.string()) or dict.fromkeys(names[:1], pa.binary())  # which are counted at least
    try:
        table = _read(file, types, _BLOCK_BYTES)
    except pa.ArrowInvalid:
        table = _again(file, types)
    return RawSplit(table.select(chosen), tuple(names))


def csv_names(file: str) -> list[str]:
    """The columns' names; DataError where they are parted by something else."""
    with open_file(file) as opened, io.TextIOWrapper(opened, "utf-8-sig", "surrogateescape", newline="") as text:
        first = next(filter(None, csv.reader(text, delimiter=_delimiter(file))), [])
    names = [name.encode(errors="surrogateescape").decode() for name in first]
    if len(names) == 1 and (others := set(";\t|") & set(names[0])):
        raise DataError(f"want columns parted by commas (or .tsv and tabs), got {others.pop()!r} in its first line")
    return names


def csv_pieces(file: str, chosen: Collection[str]) -> Iterator[pa.Table]:
    """The rows of some columns, in their order."""
    options = _options(file, dict.fromkeys(chosen, pa.string()), _BLOCK_BYTES)
    with open_file(file) as opened, pa.csv.open_csv(_LineEnds(opened), **options) as batches:
        for batch in batches:
            yield pa.Table.from_batches([batch])


def _again(file: str, types: Mapping[str, pa.DataType]) -> pa.Table:
    """What could not be read: with room for long rows, by one thread, which knows the number of a row that is wrong."""
    try:
        return _read(file, types, _LARGE_BYTES, use_threads=False)
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error):
            raise
        told = f"a row is longer than {_LARGE_BYTES >> 20} MiB; look for a quote that is opened and never closed"
        raise DataError(told) from error


def _read(file: str, types: Mapping[str, pa.DataType], block_bytes: int, *, use_threads: bool = True) -> pa.Table:
    options = _options(file, types, block_bytes)
    options["read_options"].use_threads = use_threads
    with open_file(file) as opened:
        return pa.csv.read_csv(_LineEnds(opened), **options)


def _delimiter(file: str) -> str:
    return "\t" if ".tsv" in Path(file).suffixes else ","


def _options(file: str, types: Mapping[str, pa.DataType], block_bytes: int) -> dict[str, Any]:
    return {
        "read_options": pa.csv.ReadOptions(block_size=block_bytes),
        "parse_options": pa.csv.ParseOptions(delimiter=_delimiter(file), newlines_in_values=True),
        "convert_options": pa.csv.ConvertOptions(
            column_types=types, include_columns=list(types), strings_can_be_null=False
        ),
    }


class _LineEnds(io.RawIOBase):
    """A file of which no read ends within \\r\\n: pyarrow 26 drops a \\n that a block begins with, of a cell too."""

    def __init__(self, file: Any) -> None:
        self._file, self._held = file, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found = self._held + self._file.read(size)
        self._held = b"\r" if len(found) > 1 and found.endswith(b"\r") else b""
        return found[:-1] if self._held else found
