"""Arrow columns of any size: a single array of text or bytes holds 2 GiB at most, for its offsets are int32.

gather(table["text"], order)        # as table["text"].take(order), in several chunks if it is large
gather_table(table, order)
bytes_column(pictures)              # bytes one after the other, as they come
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

__all__ = ["bytes_column", "gather", "gather_table"]

_MOST_BYTES = 1 << 30  # of a column that is taken from at once
_PART_BYTES = 1 << 29  # of what is taken from a larger one at once, on average


def gather_table(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """Those rows of all columns."""
    return pa.table([gather(column, rows) for column in table.columns], schema=table.schema)


def gather(column: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
    """The cells of `rows` [n], in that order: one chunk, or several of a large column."""
    if column.nbytes <= _MOST_BYTES:
        taken = column.take(pa.array(rows))
        return taken if taken.num_chunks == 1 else pa.chunked_array([taken.combine_chunks()], column.type)
    starts = np.cumsum([0, *map(len, column.chunks)])
    num_parts = -(-column.nbytes * len(rows) // (_PART_BYTES * len(column)))
    parts = [_part(column, part, starts) for part in np.array_split(rows, max(1, num_parts))]
    return pa.chunked_array(parts, column.type)


def _part(column: pa.ChunkedArray, rows: np.ndarray, starts: np.ndarray) -> pa.Array:
    """First the cells of each chunk, one chunk after the other, then all of them in the order asked."""
    chunk = np.searchsorted(starts, rows, "right") - 1
    by_chunk = np.argsort(chunk, kind="stable")
    bounds = np.searchsorted(chunk[by_chunk], np.arange(len(starts)))
    found = [
        array.take(pa.array(rows[by_chunk[first:last]] - start))
        for array, first, last, start in zip(column.chunks, bounds, bounds[1:], starts, strict=False)
        if last > first
    ]
    place = np.empty(len(rows), np.int64)
    place[by_chunk] = np.arange(len(rows))
    return pa.concat_arrays(found).take(pa.array(place)) if found else pa.array([], column.type)


def bytes_column(cells: Iterable[bytes | None], kind: pa.DataType = pa.binary()) -> pa.ChunkedArray:  # noqa: B008
    """A column of bytes, of which no more is held twice than a chunk of it."""
    chunks: list[pa.Array] = []
    held: list[bytes | None] = []
    size = 0
    for cell in cells:
        held.append(cell)
        size += len(cell or b"")
        if size > _PART_BYTES:
            chunks.append(pa.array(held, kind))
            held, size = [], 0
    return pa.chunked_array([*chunks, pa.array(held, kind)] if held or not chunks else chunks, kind)
