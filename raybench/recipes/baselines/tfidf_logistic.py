"""`tfidf-logistic`: TF-IDF of words, logistic regression. With some hundred rows it beats many a fine-tuned model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import logistic_regression
from raybench.recipes.baselines.tfidf_linear import linear_outputs, text_features

__all__ = ["TfidfLogistic"]


class TfidfLogistic:
    """scikit-learn's TfidfVectorizer (words of the text, sublinear counts) and LogisticRegression(C=1)."""

    tasks = ("text-classification", "prompted-classification")
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        features, words = text_features(rows, "tfidf-logistic")
        return {**logistic_regression(features, rows.column("label").to_numpy(), len(dataset.labels)), **words}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        return linear_outputs(arrays, rows)
