"""`pixels-logistic`: logistic regression on raw pixels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import logistic_regression
from raybench.recipes.baselines.pixel_features import fit_pixels, pixel_features

__all__ = ["PixelsLogistic"]


class PixelsLogistic:
    """scikit-learn's LogisticRegression(C=1) on pixels in [0, 1]."""

    tasks = ("image-classification",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        features, shape = fit_pixels(rows)
        arrays = logistic_regression(features, rows.column("label").to_numpy(), len(dataset.labels))
        return {**arrays, "shape": shape}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        features = pixel_features(rows, arrays["shape"])
        return np.asarray(features @ arrays["weight"] + arrays["bias"], dtype=np.float32)
