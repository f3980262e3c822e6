"""Classes of pixels without a network: `majority-pixel`, and `pixel-logistic` on colours.

Shapes: H and W pixels of a picture, F features of a pixel, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.core.errors import IncompatibleError
from raybench.core.identity import seed_from
from raybench.core.pictures import picture_arrays
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import logistic_regression
from raybench.tasks.catalog import task_of
from raybench.tasks.image_inputs import as_read
from raybench.tasks.pixel_classes import IGNORED, mask_array, pixel_counts

__all__ = ["MajorityPixel", "PixelLogistic"]

_MOST_PIXELS = 20_000  # to fit on, drawn over all training pictures
_CHANNELS = 3
_AROUND = 2  # pixels on each side whose mean colour is a pixel's feature too


class MajorityPixel:
    """The commonest class of the training pixels, everywhere."""

    tasks = ("semantic-segmentation",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        counts = np.zeros(256, dtype=np.int64)
        for mask in _masks(rows, dataset):
            counts += np.bincount(mask.ravel(), minlength=256)
        return {"commonest": np.array([counts[:IGNORED].argmax()], dtype=np.int32)}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> list[np.ndarray]:
        commonest = int(arrays["commonest"][0])
        return [_counts(np.full(mask.shape, commonest), mask, dataset) for mask in _masks(rows, dataset)]


class PixelLogistic:
    """scikit-learn's LogisticRegression(C=1) of a pixel's colour and the mean colour of 5 × 5 pixels about it."""

    tasks = ("semantic-segmentation",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        counted = np.array([int((mask != IGNORED).sum()) for mask in _masks(rows, dataset)])
        if not counted.sum():
            raise IncompatibleError("pixel-logistic: no training pixel has a class")
        draw = np.random.default_rng(seed_from("pixels", dataset.training))
        kept = np.sort(draw.choice(counted.sum(), min(_MOST_PIXELS, int(counted.sum())), replace=False))
        cuts = np.searchsorted(kept, np.cumsum(counted))[:-1]
        features, classes = [], []
        before = np.cumsum(counted) - counted
        pictures = zip(_pictures(rows), _masks(rows, dataset), np.split(kept, cuts), before, strict=True)
        for picture, mask, own, first in pictures:
            places = np.flatnonzero(mask.ravel() != IGNORED)[own - first]
            if len(places):
                features.append(_features(picture).reshape(-1, 2 * _CHANNELS)[places])
                classes.append(mask.ravel()[places].astype(np.int64))
        return logistic_regression(np.concatenate(features), np.concatenate(classes), len(dataset.labels))

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> list[np.ndarray]:
        weight, bias = arrays["weight"].astype(np.float32), arrays["bias"].astype(np.float32)
        pictures = zip(_pictures(rows), _masks(rows, dataset), strict=True)
        return [
            _counts((_features(picture) @ weight + bias).argmax(axis=-1), mask, dataset) for picture, mask in pictures
        ]


def _masks(rows: pa.Table, dataset: DatasetKey) -> Iterator[np.ndarray]:
    """uint8 [H, W] of classes."""
    classes = task_of(dataset).classes  # type: ignore[attr-defined]
    for cell in rows.column("mask"):
        yield mask_array(cell.as_py(), classes)


def _pictures(rows: pa.Table) -> Iterator[np.ndarray]:
    for array in picture_arrays(rows):
        yield as_read(array, None, _CHANNELS)


def _features(picture: np.ndarray) -> np.ndarray:
    """float32 [H, W, F] in [0, 1]: colours, and their means over a square that ends at the picture's edge."""
    from scipy.ndimage import uniform_filter

    colours = picture.astype(np.float32) / 255
    size = 2 * _AROUND + 1
    return np.concatenate([colours, uniform_filter(colours, (size, size, 1), mode="nearest")], axis=-1)


def _counts(prediction: np.ndarray, mask: np.ndarray, dataset: DatasetKey) -> np.ndarray:
    import torch

    return pixel_counts(torch.from_numpy(prediction), torch.from_numpy(mask), len(dataset.labels))
