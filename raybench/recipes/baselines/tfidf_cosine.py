"""`tfidf-cosine`: two texts are alike by the cosine of their TF-IDF vectors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.tfidf import fit_tfidf, open_tfidf

__all__ = ["TfidfCosine"]


class TfidfCosine:
    """Words weighed by how rare they are among both texts of the training pairs."""

    tasks = ("sentence-similarity",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        texts = [*rows.column("text").to_pylist(), *rows.column("text_pair").to_pylist()]
        return fit_tfidf(texts, "tfidf-cosine")[1]

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        vectorizer = open_tfidf(arrays)
        first, second = (vectorizer.transform(rows.column(name).to_pylist()) for name in ("text", "text_pair"))
        return np.asarray(first.multiply(second).sum(axis=1)).reshape(-1)  # both are of unit length
