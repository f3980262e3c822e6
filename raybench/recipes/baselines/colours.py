"""`colour-boosting`: gradient boosting on the colours of a picture, wherever in it they are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.pixel_features import colour_features
from raybench.recipes.baselines.targets import standard_values
from raybench.recipes.trees import boosting_outputs, fit_boosting

__all__ = ["ColourBoosting"]


class ColourBoosting:
    """scikit-learn's HistGradientBoosting, 100 rounds, of labels or of a number."""

    tasks = ("image-classification", "image-regression")
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        if dataset.labels:
            targets = rows.column("label").to_numpy()
        else:
            targets = standard_values(rows, dataset).astype(np.float32)[:, None]
        return fit_boosting(colour_features(rows), targets, max(1, len(dataset.labels)), {"max_iter": 100}, seed)

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        return boosting_outputs(arrays, colour_features(rows))
