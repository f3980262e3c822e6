"""Pictures of rows as pixels: as they are, or decoded from the files that travel in their place.

    for pixels in picture_arrays(table): ...      # uint8 [H, W, C], decoded in threads, in order
    picture_sizes(table)                          # int64 [N, 2]

Decodes with Pillow, upright as EXIF says, into 1 channel for grey and 3 for all else.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import DataError, summary

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "ENCODED",
    "IMAGE",
    "check_picture",
    "decode_picture",
    "image_array",
    "open_picture",
    "picture_arrays",
    "picture_sizes",
]

IMAGE = pa.struct([("height", pa.int32()), ("width", pa.int32()), ("channels", pa.int32()), ("data", pa.binary())])
ENCODED = pa.struct([("path", pa.string()), ("bytes", pa.binary())])  # `path` says which it is in errors
_DEEP = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}  # Pillow's modes; it would cut them off at 255
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}  # what a whole file ends in
_AT_ONCE = 64  # pictures decoded ahead
_ORIENTATION = 0x0112  # the EXIF tag


def image_array(pixels: np.ndarray) -> pa.Array:
    """uint8 pixels [N, H, W] or [N, H, W, C] as a column."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4):
        raise DataError(f"pictures must be uint8 [N, H, W] or [N, H, W, C], got {pixels.dtype} {list(pixels.shape)}")
    count, height, width = pixels.shape[:3]
    channels = pixels.shape[3] if pixels.ndim == 4 else 1
    sizes = [pa.array(np.full(count, size, np.int32)) for size in (height, width, channels)]
    data = pa.array([picture.tobytes() for picture in np.ascontiguousarray(pixels)], pa.binary())
    return pa.StructArray.from_arrays([*sizes, data], fields=list(IMAGE))


def picture_arrays(rows: pa.Table) -> Iterator[np.ndarray]:
    """Column `image` as uint8 [H, W, C] each, in order; DataError with id and path for one that cannot be decoded."""
    images = rows.column("image")
    if images.type.get_field_index("bytes") < 0:
        for batch in rows.select(["image"]).to_batches(max_chunksize=_AT_ONCE):
            yield from map(_pixels, batch.column(0).to_pylist())
        return
    ids = rows.column("id").to_pylist() if "id" in rows.column_names else [None] * len(images)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(images), _AT_ONCE):
            part = zip(images[start : start + _AT_ONCE].to_pylist(), ids[start : start + _AT_ONCE], strict=True)
            yield from pool.map(lambda one: decode_picture(one[0]["bytes"], _called(one[0]["path"], one[1])), part)


def picture_sizes(rows: pa.Table, column: str = "image") -> np.ndarray:
    """int64 [N, 2]: height and width of upright pictures; of files their heads are read alone."""
    images = rows.column(column)
    if images.type.get_field_index("bytes") < 0:
        sides = [pc.struct_field(images, name).to_numpy() for name in ("height", "width")]
        return np.stack(sides, axis=1).astype(np.int64)
    batches = rows.select([column]).to_batches(max_chunksize=_AT_ONCE)
    sizes = [_size(one["bytes"], one["path"]) for batch in batches for one in batch.column(0).to_pylist()]
    return np.array(sizes, dtype=np.int64).reshape(-1, 2)


def _called(path: str | None, name: str | None) -> str:
    return " ".join(part for part in (path, f"(id {name})" if name else "") if part)


def _pixels(picture: dict[str, Any]) -> np.ndarray:
    shape = picture["height"], picture["width"], picture["channels"]
    return np.frombuffer(picture["data"], dtype=np.uint8).reshape(shape)


@contextmanager
def open_picture(data: bytes, name: str) -> Iterator[Image.Image]:
    """An encoded picture, not yet decoded; DataError with its name for whatever it raises."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            yield picture
    except DataError:
        raise
    except UnidentifiedImageError:
        what = "it is empty" if not data else f"it begins with {data[:12]!r}"
        raise DataError(f"{name}: not a picture that can be decoded: {what}") from None
    except Exception as error:  # a torn file can make a decoder raise anything
        raise DataError(f"{name}: not a picture that can be decoded: {summary(error)}") from None


def decode_picture(data: bytes, name: str) -> np.ndarray:
    """A file as uint8 [H, W, 1 or 3]; DataError for what is no picture, is torn, or has more than 8 bits a channel."""
    from PIL import ImageOps

    with open_picture(data, name) as picture:
        if picture.mode in _DEEP:
            raise DataError(f"{name}: more than 8 bits a channel ({picture.mode}); save it with 8")
        grey = picture.mode in ("1", "L")
        pixels = np.asarray(ImageOps.exif_transpose(picture).convert("L" if grey else "RGB"))
    return pixels[:, :, None] if grey else pixels


def check_picture(data: bytes, name: str) -> None:
    """As `decode_picture`, but a file that ends as it should is not decoded."""
    with open_picture(data, name) as picture:
        whole = data.rstrip(b"\0").endswith(_ENDS.get(picture.format or "", b"\0"))  # of other formats nothing tells
        deep = picture.mode in _DEEP
    if deep or not whole:
        decode_picture(data, name)


def _size(data: bytes, name: str) -> tuple[int, int]:
    with open_picture(data, name) as picture:
        width, height = picture.size
        turned = picture.getexif().get(_ORIENTATION, 1) >= 5
    return (width, height) if turned else (height, width)
