"""Arrow columns as numpy views, a hash a row of what a model is given, targets as tensors, records as columns."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.column_hashes import BLOCK, cell_digests

if TYPE_CHECKING:
    import torch

__all__ = [
    "KEY_BYTES",
    "Ragged",
    "cell_keys",
    "input_keys",
    "key_column",
    "multi_hot",
    "ragged",
    "ragged_column",
    "ragged_keys",
    "record_columns",
    "row_key",
    "single_chunk",
    "target_tensor",
]

KEY_BYTES = 16


class Ragged(NamedTuple):
    """Row i is values[offsets[i]:offsets[i + 1]]."""

    values: np.ndarray
    offsets: np.ndarray

    def row(self, place: int) -> np.ndarray:
        """The values of one row, a view."""
        return self.values[self.offsets[place] : self.offsets[place + 1]]


def single_chunk(table: pa.Table, name: str) -> pa.Array:
    """A column as one array; a view where it already is one chunk."""
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def ragged(table: pa.Table, name: str) -> Ragged:
    """A list column without copying its values."""
    array = single_chunk(table, name)
    if isinstance(array, pa.ChunkedArray):  # no chunk at all
        return Ragged(np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int32))
    return Ragged(array.values.to_numpy(), array.offsets.to_numpy())


def ragged_column(rows: list[list[int]]) -> pa.Array:
    """Lists of ints as list<int32>."""
    lengths = np.fromiter(map(len, rows), dtype=np.int32, count=len(rows))
    offsets = np.concatenate([np.zeros(1, dtype=np.int32), np.cumsum(lengths, dtype=np.int32)])
    values = np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def key_column(inputs: Iterable[bytes]) -> pa.Array:
    """The hash of each row's input bytes, as 16 bytes."""
    return pa.array([row_key(data) for data in inputs], type=pa.binary(KEY_BYTES))


def cell_keys(table: pa.Table, names: Sequence[str]) -> pa.Array:
    """`key_column` of columns of text or bytes, cells of one row parted by zero bytes."""
    joined: pa.ChunkedArray = table.column(names[0])
    if len(names) > 1:
        batches = table.select(list(names)).to_batches(max_chunksize=BLOCK)
        parts = [pc.binary_join_element_wise(*batch.columns, "\0") for batch in batches]
        joined = pa.chunked_array(parts, joined.type)
    return _keys(joined)


def ragged_keys(*columns: pa.ListArray) -> pa.Array:
    """`key_column` of the bytes of each row's numbers, of one column after the other."""
    cells = [_number_bytes(column) for column in columns]
    joined = cells[0] if len(cells) == 1 else pc.binary_join_element_wise(*cells, pa.scalar(b"", pa.large_binary()))
    return _keys(pa.chunked_array([joined]))


def _number_bytes(column: pa.ListArray) -> pa.LargeBinaryArray:
    values, offsets = column.values.to_numpy(), column.offsets.to_numpy()
    buffers = [None, pa.py_buffer(offsets.astype(np.int64) * values.itemsize), pa.py_buffer(values)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(column), buffers)


def _keys(cells: pa.ChunkedArray) -> pa.Array:
    digests = cell_digests([cells], KEY_BYTES)
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(KEY_BYTES), len(digests), [None, pa.py_buffer(digests.reshape(-1))]
    )


def row_key(*parts: bytes) -> bytes:
    """The hash of a row's input bytes, one part after the other."""
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()


def input_keys(table: pa.Table) -> np.ndarray:
    """Column `key` as a numpy array of 16 raw bytes each, sortable and hashable."""
    array = single_chunk(table, "key").cast(pa.binary(KEY_BYTES))
    if len(array) == 0:
        return np.zeros(0, dtype=f"V{KEY_BYTES}")
    data = array.buffers()[1]
    return np.frombuffer(data, dtype=f"V{KEY_BYTES}")[array.offset : array.offset + len(array)]


def multi_hot(rows: pa.Table, name: str, num_labels: int) -> np.ndarray:
    """Lists of indices as int64 [N, L] of 0 and 1."""
    values, offsets = ragged(rows, name)
    hot = np.zeros((rows.num_rows, num_labels), dtype=np.int64)
    hot[np.repeat(np.arange(rows.num_rows), np.diff(offsets)), values[offsets[0] : offsets[-1]]] = 1
    return hot


def target_tensor(targets: np.ndarray, device: torch.device) -> torch.Tensor:
    """Targets on the device: whole numbers as int64, others as they are."""
    import torch

    wide = targets.astype(np.int64) if targets.dtype.kind in "iu" else targets
    return torch.from_numpy(wide).to(device, non_blocking=True)


def record_columns(rows: pa.Table, target: pa.Array | None, columns: Mapping[str, Any]) -> pa.Table:
    """Records of rows: `id`, `target` where there is one, and arrays [B] or [B, K] by name."""
    arrays: dict[str, Any] = {"id": rows.column("id").combine_chunks()}
    if target is not None:
        arrays["target"] = target
    for name, values in columns.items():
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        arrays[name] = flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(arrays)
