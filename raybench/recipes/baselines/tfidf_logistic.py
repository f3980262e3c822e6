"""`tfidf-logistic`: TF-IDF of words, logistic regression. With some hundred rows it beats many a fine-tuned model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import logistic_regression
from raybench.recipes.baselines.tfidf import fit_tfidf, open_tfidf

__all__ = ["TfidfLogistic"]


class TfidfLogistic:
    """scikit-learn's TfidfVectorizer (words of the text, sublinear counts) and LogisticRegression(C=1)."""

    tasks = ("text-classification",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        features, words = fit_tfidf(_texts(rows), "tfidf-logistic")
        return {**logistic_regression(features, rows.column("label").to_numpy(), len(dataset.labels)), **words}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        logits = open_tfidf(arrays).transform(_texts(rows)) @ arrays["weight"] + arrays["bias"]
        return np.asarray(logits, dtype=np.float32)


def _texts(rows: pa.Table) -> list[str]:
    texts: list[str] = rows.column("text").to_pylist()
    if "text_pair" not in rows.column_names:
        return texts
    return [f"{a} {b}" for a, b in zip(texts, rows.column("text_pair").to_pylist(), strict=True)]
