"""Pictures that are noisy, blurred, lighter or darker, or compressed; nothing in them moves, so boxes and masks hold.

    blur(pixels_HWC, 0.03, rng)

Four of the corruptions of Hendrycks and Dietterich (2019, arXiv:1903.12261), with strengths that mean the same for a
picture of any size.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core.pictures import ENCODED, IMAGE, picture_arrays

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["PICTURES", "perturbed_pictures"]

Perturb = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

_COLOURS = 3  # an alpha channel stays as it is


def perturbed_pictures(
    cells: pa.Array, perturb: Perturb, strength: float, rngs: Iterable[np.random.Generator]
) -> pa.Array:
    """A column of pictures, each with its own draws: pixels as pixels, files as files (PNG, which loses nothing)."""
    is_encoded = cells.type.get_field_index("bytes") >= 0
    paths = cells.field("path").to_pylist() if is_encoded else [None] * len(cells)
    rows = []
    for pixels, path, rng in zip(picture_arrays(pa.table({"image": cells})), paths, rngs, strict=True):
        colours = np.ascontiguousarray(pixels[:, :, :_COLOURS])
        made = np.concatenate([perturb(colours, strength, rng), pixels[:, :, _COLOURS:]], axis=2)
        height, width, channels = made.shape
        if is_encoded:
            rows.append({"path": path, "bytes": _png(made)})
        else:
            rows.append({"height": height, "width": width, "channels": channels, "data": made.tobytes()})
    return pa.array(rows, ENCODED if is_encoded else IMAGE)


def noise(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise, of each channel its own."""
    return _cut(pixels + rng.normal(0.0, 255 * strength, pixels.shape))


def blur(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A Gaussian blur over rows and columns; at the edge the picture is taken to go on as at its border."""
    from scipy.ndimage import gaussian_filter

    deviation = strength * min(pixels.shape[:2])
    return _cut(gaussian_filter(pixels.astype(np.float64), (deviation, deviation, 0), mode="nearest"))


def brightness(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Lighter or darker, each as often."""
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return _cut(pixels + sign * 255 * strength)


def jpeg(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Compressed and read again."""
    from PIL import Image

    written = io.BytesIO()
    _picture(pixels).save(written, "JPEG", quality=max(1, round(100 * (1 - strength))))
    read = np.asarray(Image.open(written))
    return read[:, :, None] if read.ndim == 2 else read


PICTURES: Mapping[str, Perturb] = {"noise": noise, "blur": blur, "brightness": brightness, "jpeg": jpeg}


def _cut(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _picture(pixels: np.ndarray) -> Image.Image:
    from PIL import Image

    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _png(pixels: np.ndarray) -> bytes:
    written = io.BytesIO()
    _picture(pixels).save(written, "PNG")
    return written.getvalue()
