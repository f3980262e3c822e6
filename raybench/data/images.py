"""Pictures in the forms that sources have them in, as two: pixels, or the bytes of a file with its path.

    column = canonical_images(cells, "image", directory)     # pixels (IMAGE), or binary
    column = check_images(column, names)                     # pixels, or files (ENCODED)

Encoded pictures travel as they are: they are hashed and checked as bytes, and decoded by whoever reads pixels
(`core/pictures.py`), a batch at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import DataError
from raybench.core.large_columns import bytes_column
from raybench.core.pictures import ENCODED, IMAGE, check_picture, decode_picture

__all__ = ["canonical_images", "check_images", "decode_images", "image_paths"]

_CHANNELS = (1, 3, 4)  # grey, colour, colour with an alpha that no model reads
_ROWS = 128  # of pixels that a chunk holds


def canonical_images(column: pa.ChunkedArray, source: str, directory: Path) -> pa.ChunkedArray:
    """A column of pictures as pixels, or as encoded bytes where it holds files; paths start at `directory`."""
    kind = column.type
    if pa.types.is_struct(kind):
        names = {field.name for field in kind}
        if names == {field.name for field in IMAGE}:
            return _checked(column.cast(IMAGE), source)
        if "bytes" in names and not (content := pc.struct_field(column, "bytes")).null_count:
            return canonical_images(content, source, directory)
        if "bytes" in names:  # the Image feature of `datasets`, of which some are files
            return bytes_column(_content(column, directory))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return bytes_column(_read(path, directory) for path in column.to_pylist())
    if pa.types.is_large_binary(kind):
        return bytes_column(cell.as_py() for cell in column)
    if pa.types.is_binary(kind):
        return column
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _from_lists(column, source)
    raise DataError(f"image column {source!r} holds {kind}; want pictures, their bytes, paths or pixels")


def image_paths(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The paths in a column of pictures, or None where it has none."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column
    if pa.types.is_struct(kind) and {"bytes", "path"} <= {field.name for field in kind}:
        return pc.struct_field(column, "path")
    return None


def check_images(column: pa.ChunkedArray, names: list[str]) -> pa.ChunkedArray:
    """Files as ENCODED, told by `names`; pixels as they are. A file is opened, and decoded only if it looks torn.

    Raises:
        DataError: what is no picture, is torn, or has more than 8 bits a channel.
    """
    if pa.types.is_struct(column.type):
        return column
    chunks, rest = [], iter(names)
    for chunk in column.chunks:
        called = list(itertools.islice(rest, len(chunk)))
        for data, name in zip(chunk, called, strict=True):
            check_picture(data.as_py(), name)
        chunks.append(pa.StructArray.from_arrays([pa.array(called, pa.string()), chunk], fields=list(ENCODED)))
    return pa.chunked_array(chunks, ENCODED)


def decode_images(column: pa.ChunkedArray, names: list[str]) -> pa.ChunkedArray:
    """As `check_images`, but every file is decoded once; its pixels are not kept."""
    if not pa.types.is_struct(column.type):
        for data, name in zip(column, names, strict=True):
            decode_picture(data.as_py(), name)
    return check_images(column, names)


def _content(column: pa.ChunkedArray, directory: Path) -> Iterator[bytes | None]:
    """The bytes of each picture, of its file where the cell has none."""
    for cell in column:
        picture = cell.as_py() or {}
        data = picture.get("bytes")
        yield data if data is not None else _read(picture.get("path"), directory)


def _read(path: str | None, directory: Path) -> bytes | None:
    if path is None:
        return None
    try:
        return (directory / path).read_bytes()
    except OSError as error:
        raise DataError(f"picture {path} cannot be read: {error.strerror}") from None


def _checked(column: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    """Pixels as they are, where there are as many as each picture's size says."""
    height, width, channels = (pc.struct_field(column, name) for name in ("height", "width", "channels"))
    wanted = pc.multiply(pc.multiply(height, width), channels)
    known = pc.is_in(channels, pa.array(_CHANNELS, pa.int32()))
    fits = pc.and_(pc.equal(pc.binary_length(pc.struct_field(column, "data")), wanted), known)
    if (row := pc.index(pc.fill_null(fits, True), False).as_py()) >= 0:
        size = [part[row].as_py() for part in (height, width, channels)]
        data = len(column[row].as_py()["data"])
        raise DataError(
            f"image column {source!r}, row {row}: {data} bytes of pixels for height, width and channels {size}; "
            "want as many as their product, and 1, 3 or 4 channels"
        )
    return column


def _from_lists(column: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    rows: list[dict[str, Any] | None] = []
    for row, cell in enumerate(column):
        value = cell.as_py()
        if value is None:
            rows.append(None)
            continue
        try:
            pixels = np.asarray(value)
        except ValueError:
            raise DataError(f"image column {source!r}, row {row}: its lines are not equally long") from None
        whole = pixels.ndim in (2, 3) and pixels.size > 0 and pixels.dtype.kind in "iu"
        if not whole or pixels.min() < 0 or pixels.max() > 255:
            raise DataError(f"image column {source!r}, row {row}: want whole numbers 0–255 as [H, W] or [H, W, C]")
        height, width, channels = (*pixels.shape, 1)[:3]
        data = pixels.astype(np.uint8).tobytes()
        rows.append({"height": height, "width": width, "channels": channels, "data": data})
    parts = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
    return _checked(pa.chunked_array([pa.array(part, IMAGE) for part in parts], IMAGE), source)
