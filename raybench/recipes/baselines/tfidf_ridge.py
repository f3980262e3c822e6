"""`tfidf-ridge`: TF-IDF of words, ridge regression."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import ridge_regression
from raybench.recipes.baselines.targets import standard_values
from raybench.recipes.baselines.tfidf_linear import linear_outputs, text_features

__all__ = ["TfidfRidge"]


class TfidfRidge:
    """scikit-learn's Ridge(alpha=1) on TF-IDF."""

    tasks = ("text-regression",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        features, words = text_features(rows, "tfidf-ridge")
        return {**ridge_regression(features, standard_values(rows, dataset)[:, None]), **words}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        return linear_outputs(arrays, rows)
