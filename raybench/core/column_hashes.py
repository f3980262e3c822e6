"""Hashes of the cells of Arrow columns, read from the columns' own buffers: no list of all cells is made.

    cell_digests([table["text"]], 32)                   # uint8 [N, 32]: BLAKE2b of each row
    hex_column(digests[:, :16])                         # 32 hex characters a row, as a column of strings
    bytes_hash([], framed(digests))                     # bytes_hash(row.tobytes() for row in digests)

About half a microsecond for a short text, nearly all of it BLAKE2b's.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from raybench.core.identity import canonical_json

__all__ = ["BLOCK", "cell_digests", "framed", "hex_column"]

BLOCK = 1 << 16  # rows at once
_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint16)
_MOST_HEX = 1 << 30  # bytes of one array, whose offsets are int32

Cells = Iterable[bytes | memoryview]


def cell_digests(columns: Sequence[pa.ChunkedArray], size: int) -> np.ndarray:
    """BLAKE2b of each row, uint8 [N, size]: of one column the bytes of its cell, of several each with its length.

    Text is its UTF-8, bytes are themselves, a struct without nested fields its fields' text between zero bytes; of
    all else it is the cell's JSON.
    """
    table = pa.table(list(columns), [str(place) for place in range(len(columns))])
    found, done = np.empty((table.num_rows, size), np.uint8), 0
    fresh = hashlib.blake2b(digest_size=size).copy  # a copy takes a third of the time of a new one
    for batch in table.to_batches(max_chunksize=BLOCK):
        digests = []
        if len(columns) == 1:
            for cell in _cells(batch.column(0)):
                digest = fresh()
                digest.update(cell)
                digests.append(digest.digest())
        else:
            for row in zip(*map(_cells, batch.columns), strict=True):
                digest = fresh()
                for cell in row:  # lengths keep ("ab", "c") and ("a", "bc") apart
                    digest.update(len(cell).to_bytes(8, "little"))
                    digest.update(cell)
                digests.append(digest.digest())
        found[done : done + batch.num_rows] = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, size)
        done += batch.num_rows
    return found


def hex_column(digests: np.ndarray) -> pa.ChunkedArray:
    """Each row of uint8 [N, W] as a string of 2 W hex characters."""
    width, most = 2 * digests.shape[1], _MOST_HEX // (2 * digests.shape[1])
    parts = []
    for start in range(0, len(digests), most):
        part = digests[start : start + most]
        text = np.empty(part.shape, np.uint16)
        for first in range(0, len(part), BLOCK):
            np.take(_HEX, part[first : first + BLOCK], out=text[first : first + BLOCK])
        offsets = np.arange(0, width * len(part) + 1, width, dtype=np.int32)
        parts.append(pa.StringArray.from_buffers(len(part), pa.py_buffer(offsets), pa.py_buffer(text)))
    return pa.chunked_array(parts, pa.string())


def framed(rows: np.ndarray) -> Iterator[memoryview]:
    """Rows of uint8 [N, W], each behind its length, as `bytes_hash` reads pieces; a block of them at a time."""
    length = np.frombuffer(rows.shape[1].to_bytes(8, "little"), np.uint8)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        yield np.concatenate([np.broadcast_to(length, (len(block), 8)), block], axis=1).reshape(-1).data


def _cells(array: pa.Array) -> Cells:
    """The bytes that stand for each cell."""
    kind = array.type
    if pa.types.is_struct(kind) and not any(pa.types.is_nested(field.type) for field in kind):
        fields = (array.field(index).to_pylist() for index in range(kind.num_fields))
        return (b"\0".join(map(_written, row)) for row in zip(*fields, strict=True))
    if pa.types.is_string_view(kind):
        return _slices(array.cast(pa.large_string()))
    if (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    ):
        return _slices(array)
    return (canonical_json(value).encode("utf-8", "surrogatepass") for value in array.to_pylist())


def _written(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _slices(array: pa.Array) -> Cells:
    """Views of the cells of an array of text or bytes, none of which is null."""
    assert not array.null_count
    is_large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64 if is_large else np.int32)[array.offset : array.offset + len(array) + 1]
    view, ends = memoryview(data or b""), bounds.tolist()
    # one at a time: 65,536 views at once wake the collector
    return (view[start:end] for start, end in itertools.pairwise(ends))
