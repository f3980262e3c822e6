"""Pictures in the forms that sources have them, as one: a struct of height, width, channels and uint8 pixels.

Encoded pictures are hashed as their bytes and decoded after the limit is applied, so 100 of a million pictures
cost 100 decodings. Decodes with Pillow, into 1 channel for grey and 3 for all else.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.errors import DataError

__all__ = ["IMAGE", "canonical_images", "decode_images", "image_array"]

IMAGE = pa.struct([("height", pa.int32()), ("width", pa.int32()), ("channels", pa.int32()), ("data", pa.binary())])


def image_array(pixels: np.ndarray) -> pa.Array:
    """uint8 pixels [N, H, W] or [N, H, W, C] as a column."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4):
        raise DataError(f"pictures must be uint8 [N, H, W] or [N, H, W, C], got {pixels.dtype} {list(pixels.shape)}")
    count, height, width = pixels.shape[:3]
    channels = pixels.shape[3] if pixels.ndim == 4 else 1
    sizes = [pa.array(np.full(count, size, np.int32)) for size in (height, width, channels)]
    data = pa.array([picture.tobytes() for picture in np.ascontiguousarray(pixels)], pa.binary())
    return pa.StructArray.from_arrays([*sizes, data], fields=list(IMAGE))


def canonical_images(column: pa.ChunkedArray, source: str, directory: Path) -> pa.ChunkedArray:
    """A column of pictures as pixels, or as encoded bytes where it holds files; paths start at `directory`."""
    kind = column.type
    if pa.types.is_struct(kind):
        names = {field.name for field in kind}
        if names == {field.name for field in IMAGE}:
            return column.cast(IMAGE)
        if "bytes" in names:  # the Image feature of `datasets`
            paths = pc.struct_field(column, "path").to_pylist() if "path" in names else [None] * len(column)
            content = pc.struct_field(column, "bytes").to_pylist()
            pairs = zip(content, paths, strict=True)
            return pa.chunked_array([[data if data is not None else _read(path, directory) for data, path in pairs]])
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.chunked_array([[_read(path, directory) for path in column.to_pylist()]])
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return column.cast(pa.binary())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _from_lists(column, source)
    raise DataError(f"image column {source!r} holds {kind}; want pictures, their bytes, paths or pixels")


def decode_images(column: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
    """Encoded pictures as pixels; pixels as they are. `rows` are their numbers in the source, for errors."""
    if pa.types.is_struct(column.type):
        return column
    decoded = [_decode(data, int(row)) for data, row in zip(column.to_pylist(), rows, strict=True)]
    return pa.chunked_array([pa.array(decoded, IMAGE)])


def _read(path: str | None, directory: Path) -> bytes | None:
    if path is None:
        return None
    try:
        return (directory / path).read_bytes()
    except OSError as error:
        raise DataError(f"picture {path} cannot be read: {error.strerror}") from None


def _decode(data: bytes, row: int) -> dict[str, Any]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            grey = picture.mode in ("1", "L")
            pixels = np.asarray(picture.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"row {row}: not a picture that can be decoded: {error}") from None
    return {
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "channels": 1 if grey else 3,
        "data": pixels.tobytes(),
    }


def _from_lists(column: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    rows: list[dict[str, Any] | None] = []
    for row, value in enumerate(column.to_pylist()):
        pixels = np.asarray(value) if value is not None else None
        if pixels is None:
            rows.append(None)
            continue
        if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
            raise DataError(f"image column {source!r}, row {row}: want whole numbers 0–255 as [H, W] or [H, W, C]")
        height, width, channels = (*pixels.shape, 1)[:3]
        data = pixels.astype(np.uint8).tobytes()
        rows.append({"height": height, "width": width, "channels": channels, "data": data})
    return pa.chunked_array([pa.array(rows, IMAGE)])
