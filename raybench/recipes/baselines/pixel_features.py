"""Pictures as rows of numbers: small ones pixel by pixel, and the colours of whole ones, whatever their size."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from raybench.core.pictures import picture_arrays
from raybench.tasks.image_inputs import as_read

__all__ = ["colour_features", "fit_pixels", "pixel_features"]

_LARGEST = 32  # pixels a side; of a linear model of raw pixels more cost time and tell nothing
_BINS, _GREY_BINS = 4, 16


def fit_pixels(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """float64 [N, H·W·C] in [0, 1] of the training rows, and their shape [3], for `pixel_features`.

    The shape is that of the first picture, its longer side at most 32 pixels, with the most channels that any has.
    """
    arrays: list[np.ndarray] = []
    for array in picture_arrays(rows):
        arrays.append(_shrunk(array, arrays[0].shape[:2] if arrays else _small(array)))
    shape = np.array([*arrays[0].shape[:2], max(array.shape[2] for array in arrays)], dtype=np.int64)
    return _flat(arrays, shape), shape


def pixel_features(rows: pa.Table, shape: np.ndarray) -> np.ndarray:
    """float64 [N, H·W·C] in that shape."""
    return _flat(picture_arrays(rows), shape)


def colour_features(rows: pa.Table) -> np.ndarray:
    """float64 [N, 86]: shares of 4 × 4 × 4 colours and of 16 greys, mean and deviation of red, green and blue."""
    features = []
    for picture in picture_arrays(rows):
        colours = as_read(picture, None, 3).reshape(-1, 3)
        bins = colours // (256 // _BINS)
        joint = np.bincount(bins @ np.array([_BINS**2, _BINS, 1]), minlength=_BINS**3)
        greys = np.bincount(as_read(picture, None, 1).ravel() // (256 // _GREY_BINS), minlength=_GREY_BINS)
        counts = np.concatenate([joint, greys]) / len(colours)
        features.append(np.concatenate([counts, colours.mean(axis=0) / 255, colours.std(axis=0) / 255]))
    return np.array(features).reshape(rows.num_rows, _BINS**3 + _GREY_BINS + 6)


def _small(array: np.ndarray) -> tuple[int, int]:
    height, width = array.shape[:2]
    shrunk = min(1.0, _LARGEST / max(height, width))
    return max(1, round(height * shrunk)), max(1, round(width * shrunk))


def _flat(arrays: Iterable[np.ndarray], shape: np.ndarray) -> np.ndarray:
    height, width, channels = shape.tolist()
    pictures = [_shrunk(as_read(array, None, channels), (height, width)) for array in arrays]
    return np.array(pictures, dtype=np.float64).reshape(len(pictures), -1) / 255.0


def _shrunk(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Each pixel the mean of those it stands for."""
    if array.shape[:2] == size:
        return array
    from PIL import Image

    planes = [Image.fromarray(np.ascontiguousarray(array[:, :, c])) for c in range(array.shape[2])]
    return np.stack([np.asarray(plane.resize(size[::-1], Image.Resampling.BOX)) for plane in planes], axis=2)
