"""`tfidf-one-vs-rest`, `pixels-one-vs-rest`: a logistic regression for each label, each on its own."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import one_vs_rest
from raybench.recipes.baselines.pixel_features import fit_pixels, pixel_features
from raybench.recipes.baselines.targets import label_matrix
from raybench.recipes.baselines.tfidf_linear import linear_outputs, text_features

__all__ = ["PixelsOneVsRest", "TfidfOneVsRest"]


class TfidfOneVsRest:
    """scikit-learn's LogisticRegression(C=1) a label on TF-IDF (binary relevance)."""

    tasks = ("multilabel-text-classification",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        features, words = text_features(rows, "tfidf-one-vs-rest")
        return {**one_vs_rest(features, label_matrix(rows, dataset)), **words}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        return linear_outputs(arrays, rows)


class PixelsOneVsRest:
    """The same on pixels in [0, 1]."""

    tasks = ("multilabel-image-classification",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        features, shape = fit_pixels(rows)
        return {**one_vs_rest(features, label_matrix(rows, dataset)), "shape": shape}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        features = pixel_features(rows, arrays["shape"])
        return np.asarray(features @ arrays["weight"] + arrays["bias"], dtype=np.float32)
