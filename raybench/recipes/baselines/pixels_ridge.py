"""`pixels-ridge`: ridge regression on raw pixels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import ridge_regression
from raybench.recipes.baselines.pixel_features import fit_pixels, pixel_features
from raybench.recipes.baselines.targets import standard_values

__all__ = ["PixelsRidge"]


class PixelsRidge:
    """scikit-learn's Ridge(alpha=1) on pixels in [0, 1]."""

    tasks = ("image-regression",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        features, shape = fit_pixels(rows)
        return {**ridge_regression(features, standard_values(rows, dataset)[:, None]), "shape": shape}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        features = pixel_features(rows, arrays["shape"])
        return np.asarray(features @ arrays["weight"] + arrays["bias"], dtype=np.float32)
