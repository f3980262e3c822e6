"""Masks, pictures whose pixels are numbers of classes, from the forms that sources have them in: one channel of bytes.

Grey values and places in a palette are the numbers; of 16 bits what fits into a byte. Decoded after the limit is
applied, as pictures are, into the type of `data/images.py` with one channel.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core.errors import DataError
from raybench.core.pictures import IMAGE, open_picture, picture_arrays

__all__ = ["decode_masks"]

_NUMBERS = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's modes whose pixels are single numbers


def decode_masks(column: pa.ChunkedArray, names: list[str]) -> pa.ChunkedArray:
    """Masks as uint8 [H, W, 1]; `names` say which is which in errors."""
    if pa.types.is_struct(column.type):
        pictures = picture_arrays(pa.table({"image": column}))
        arrays = [_one_channel(pixels, name) for pixels, name in zip(pictures, names, strict=True)]
    else:
        arrays = [_decode(data, name) for data, name in zip(column.to_pylist(), names, strict=True)]
    rows = [
        {"height": array.shape[0], "width": array.shape[1], "channels": 1, "data": array.tobytes()} for array in arrays
    ]
    return pa.chunked_array([pa.array(rows, IMAGE)])


def _decode(data: bytes, name: str) -> np.ndarray:
    from PIL import ImageOps

    with open_picture(data, f"mask {name}") as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.mode not in _NUMBERS:
            return _one_channel(np.asarray(picture.convert("RGB")), name)
        numbers = np.asarray(picture)
    if numbers.dtype != bool and (numbers.min(initial=0) < 0 or numbers.max(initial=0) > 255):
        raise DataError(f"mask {name}: holds {numbers.max()}; numbers of classes are 0 to 255")
    return numbers.astype(np.uint8)


def _one_channel(pixels: np.ndarray, name: str) -> np.ndarray:
    """[H, W] of [H, W, C] whose channels are alike."""
    if (pixels != pixels[:, :, :1]).any():
        raise DataError(f"mask {name}: holds colours; want numbers of classes, in one channel or as a palette")
    return pixels[:, :, 0]
