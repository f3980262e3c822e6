"""Prepared pictures: pixels as the model reads them or, where those are too many, files that are opened for each batch.

    table = with_pictures(rows, arrays, patch)              # arrays: an iterator, of which one is held at a time
    pictures = PreparedPictures(table, again)               # again: makes them anew of rows
    pictures.shapes                                         # int64 [N, 3]
    pictures[np.array([3, 1])]                              # [2, H, W, C]

A picture is 150 kB as pixels of a classifier at 224 and 3.2 MB as those of a detector at 800 × 1,333.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.large_columns import gather
from raybench.tasks.rows import KEY_BYTES, Ragged, row_key

__all__ = ["PreparedPictures", "shapes_of", "with_pictures"]

Again = Callable[[pa.Table, np.ndarray], Iterable[np.ndarray]]  # rows and their shapes [n, 3] → [H, W, C] each

_SHAPE = ("height", "width", "channels")
_MOST_BYTES = 1 << 30  # of pixels that are kept: a driver that plans, an actor and the object store each hold them
_SEEN = "seen"  # the shapes of pictures that are not


def with_pictures(rows: pa.Table, arrays: Iterable[np.ndarray], patch: int, *, by_size: bool = False) -> pa.Table:
    """Rows with pictures [height, width, channels] in place of theirs, `length` and `key`.

    Of more than a GiB of pixels the rows keep theirs, and get the shapes of those. `by_size` puts pictures of one size
    beside each other in the batch plan: their keys begin alike.
    """
    kept, ends, found, sides = io.BytesIO(), [0], [], []
    for array in arrays:
        data = array.tobytes()
        sides.append(array.shape)
        found.append(row_key(bytes(side % 256 for side in array.shape), data))
        ends.append(ends[-1] + len(data))
        if ends[-1] <= _MOST_BYTES:
            kept.write(data)
        elif kept.tell():
            kept = io.BytesIO()
    shapes = np.array(sides, dtype=np.int32).reshape(-1, 3)
    if by_size:
        firsts = [size.tobytes() for size in shapes[:, :2].astype(">u2")]
        found = [first + key[: -len(first)] for first, key in zip(firsts, found, strict=True)]
    lengths = np.maximum(1, (shapes[:, 0] // max(1, patch)) * (shapes[:, 1] // max(1, patch)))
    columns = {name: rows.column(name) for name in rows.column_names}
    parts = [pa.array(one) for one in shapes.T]
    if ends[-1] <= _MOST_BYTES:
        buffers = [None, pa.py_buffer(np.array(ends, np.int32)), pa.py_buffer(kept.getbuffer())]
        parts.append(pa.Array.from_buffers(pa.binary(), len(found), buffers))
        columns.pop("image")
        columns["image"] = pa.StructArray.from_arrays(parts, names=[*_SHAPE, "data"])
    else:
        columns[_SEEN] = pa.StructArray.from_arrays(parts, names=_SHAPE)
    keys = pa.array(found, type=pa.binary(KEY_BYTES))
    return pa.table({**columns, "length": pa.array(lengths.astype(np.int32)), "key": keys})


def shapes_of(prepared: pa.Table) -> np.ndarray:
    """int64 [N, 3]: height, width and channels of prepared pictures."""
    column = prepared.column("image" if _SEEN not in prepared.column_names else _SEEN)
    return np.stack([pc.struct_field(column, name).to_numpy() for name in _SHAPE], axis=1).astype(np.int64)


class PreparedPictures:
    """Pictures of prepared rows by number."""

    def __init__(self, prepared: pa.Table, again: Again) -> None:
        self.shapes = shapes_of(prepared)
        self._images, self._again = prepared.column("image"), again
        self._starts = np.cumsum([0, *map(len, self._images.chunks)])
        self._kept = (
            None if _SEEN in prepared.column_names else [_cells(one.field("data")) for one in self._images.chunks]
        )

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """uint8 or float32 [B, H, W, C] of pictures of one shape."""
        if self._kept is None:
            rows = pa.table({"image": gather(self._images, indices)})
            return np.stack(list(self._again(rows, self.shapes[indices])))
        return np.stack([self._pixels(self._kept, index) for index in indices.tolist()])

    def _pixels(self, kept: Sequence[Ragged], index: int) -> np.ndarray:
        chunk = int(np.searchsorted(self._starts, index, "right")) - 1
        data, shape = kept[chunk].row(index - self._starts[chunk]), self.shapes[index]
        return data.view(np.uint8 if len(data) == shape.prod() else np.float32).reshape(shape)


def _cells(data: pa.BinaryArray) -> Ragged:
    _, offsets, values = data.buffers()
    return Ragged(np.frombuffer(values, np.uint8), np.frombuffer(offsets, np.int32)[data.offset :])
