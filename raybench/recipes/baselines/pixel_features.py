"""Pixels in [0, 1], one feature each; images of another shape are brought to that of the training rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.tasks.image_inputs import pixels, resize_images

__all__ = ["fit_pixels", "pixel_features"]


def fit_pixels(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """float64 [N, H·W·C] of the training rows, and their shape [3], for `pixel_features`."""
    images = pixels(rows)
    return _flat(images), np.array(images.shape[1:], dtype=np.int64)


def pixel_features(rows: pa.Table, shape: np.ndarray) -> np.ndarray:
    """float64 [N, H·W·C] in that shape."""
    height, width, channels = shape.tolist()
    images = pixels(rows)
    if images.shape[1:] != (height, width, channels):
        images = pixels(resize_images(rows.select(["image"]), (height, width), channels, patch=2**16))
    return _flat(images)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64) / 255.0
