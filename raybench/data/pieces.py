"""Rows of large Parquet files of which a job wants a part: hashed a piece at a time, and only what is kept is held.

    rows = thin_rows(reader, columns, given, "train", directory)      # hashes, targets, ids; no inputs
    rows.take(kept).whole()                                           # reads the inputs of those rows alone

Which rows come first hangs on the content of all, so all are read; but never more than a piece is in memory, and the
second time only the row groups that hold one of those kept. Columns that are read otherwise when others stand beside
them (letters as numbers, dates as text) have no pieces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from raybench.core import Column
from raybench.core.errors import DataError
from raybench.core.large_columns import gather
from raybench.data.columns import Rows, canonical_rows, map_columns, refuse_repeated
from raybench.data.files_in_pieces import FilesInPieces
from raybench.data.fingerprint import RowHashes
from raybench.data.raw_split import RawSplit, SplitReader

__all__ = ["thin_rows"]

_KINDS = frozenset(
    {"text", "texts", "value", "values", "name", "label", "labels", "tags", "slice", "image", "mask", "audio"}
)
_WHOLE_BYTES = 64 << 20  # of files that are read whole: a second reading would save nothing


def thin_rows(
    reader: SplitReader, columns: tuple[Column, ...], given: Mapping[str, str], split: str, directory: Path
) -> Rows | None:
    """A split's rows without their inputs; None where it must be read whole, as whenever anything is wrong with it."""
    if not isinstance(reader, FilesInPieces) or any(one.kind not in _KINDS or one.role == "group" for one in columns):
        return None
    try:
        if reader.num_bytes <= _WHOLE_BYTES or not reader.alike:
            return None

        def rows_of(table: pa.Table) -> Rows:
            mapping, raw = map_columns(lambda wanted: _chosen(table, wanted), columns, given, split)
            return canonical_rows(raw.table, mapping, columns, split, directory)

        wanted: set[str] = set()

        def look(names: Collection[str]) -> RawSplit:
            wanted.update(names)
            return _chosen(reader.schema.empty_table(), names)

        map_columns(look, columns, given, split)
        thin = _joined([_thin(rows_of(piece)) for _, piece in reader.pieces(wanted)])
        if thin.ids is not None:
            refuse_repeated(thin.ids, given["id"], split)
    except Exception:  # of whatever file system or torn file
        return None  # whoever reads it whole says what it is and where
    numbered = replace(thin, numbers=np.arange(thin.num_rows))

    def read(rows: Rows) -> Rows:
        numbers = np.sort(rows.numbers)
        parts = [rows_of(piece) for piece in _picked(reader.pieces(wanted, numbers), numbers)]
        place = np.searchsorted(numbers, rows.numbers)
        found = replace(
            rows,
            columns={name: gather(column, place) for name, column in _columns([one.columns for one in parts]).items()},
            paths={name: gather(column, place) for name, column in _columns([one.paths for one in parts]).items()},
            later=None,
        )
        if not np.array_equal(RowHashes.of(list(found.columns.values())).digests, rows.hashes.digests):
            raise DataError(f"split {split!r} has changed while it was read; run the same command again")
        return found

    return replace(numbered, later=read)


def _chosen(table: pa.Table, wanted: Collection[str]) -> RawSplit:
    return RawSplit(table.select([name for name in table.column_names if name in wanted]), tuple(table.column_names))


def _picked(pieces: Iterator[tuple[int, pa.Table]], numbers: np.ndarray) -> Iterator[pa.Table]:
    """Of each piece, told by the number of its first row, the rows with these numbers, ascending."""
    for start, piece in pieces:
        first, last = np.searchsorted(numbers, [start, start + piece.num_rows])
        if last > first:
            yield piece.take(pa.array(numbers[first:last] - start))


def _thin(rows: Rows) -> Rows:
    return replace(rows, columns={}, paths={})


def _joined(parts: list[Rows]) -> Rows:
    """Rows one after the other."""
    return replace(
        parts[0],
        targets=_columns([one.targets for one in parts]),
        slices=_columns([one.slices for one in parts]),
        ids=None if parts[0].ids is None else _columns([{"id": one.ids} for one in parts])["id"],
        hashes=RowHashes(np.concatenate([one.hashes.digests for one in parts])),
        numbers=np.concatenate([one.numbers for one in parts]),
    )


def _columns(parts: list[dict[str, pa.ChunkedArray]]) -> dict[str, pa.ChunkedArray]:
    return {
        name: pa.chunked_array([chunk for part in parts for chunk in part[name].chunks], column.type)
        for name, column in parts[0].items()
    }
