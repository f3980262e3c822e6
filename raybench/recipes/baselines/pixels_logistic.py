"""`pixels-logistic`: logistic regression on raw pixels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import logistic_regression
from raybench.tasks.image_inputs import pixels, resize_images

__all__ = ["PixelsLogistic"]


class PixelsLogistic:
    """Pixels in [0, 1], one feature each; images of another shape are brought to that of the training rows."""

    tasks = ("image-classification",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        images = pixels(rows)
        arrays = logistic_regression(_flat(images), rows.column("label").to_numpy(), len(dataset.labels))
        return {**arrays, "shape": np.array(images.shape[1:], dtype=np.int64)}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        height, width, channels = arrays["shape"].tolist()
        images = pixels(rows)
        if images.shape[1:] != (height, width, channels):
            bare = rows.select(["image"])
            images = pixels(resize_images(bare, (height, width), channels, patch=2**16))
        logits = _flat(images) @ arrays["weight"] + arrays["bias"]
        return np.asarray(logits, dtype=np.float32)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64) / 255.0
