"""`tfidf-logistic`: TF-IDF of words, logistic regression. With some hundred rows it beats many a fine-tuned model."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.core.errors import IncompatibleError
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import logistic_regression

__all__ = ["TfidfLogistic"]


class TfidfLogistic:
    """scikit-learn's TfidfVectorizer (words of the text, sublinear counts) and LogisticRegression(C=1)."""

    tasks = ("text-classification",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(sublinear_tf=True)
        try:
            features = vectorizer.fit_transform(_texts(rows))
        except ValueError as error:
            raise IncompatibleError(f"tfidf-logistic: the training texts hold no words ({error})") from error
        words = "\n".join(vectorizer.get_feature_names_out())
        arrays = logistic_regression(features, rows.column("label").to_numpy(), len(dataset.labels))
        return {**arrays, "words": np.frombuffer(words.encode(), dtype=np.uint8), "idf": vectorizer.idf_}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        vectorizer = _vectorizer(arrays["words"].tobytes(), arrays["idf"].tobytes())
        logits = vectorizer.transform(_texts(rows)) @ arrays["weight"] + arrays["bias"]
        return np.asarray(logits, dtype=np.float32)


@lru_cache(maxsize=4)
def _vectorizer(words: bytes, idf: bytes) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vocabulary = {word: index for index, word in enumerate(words.decode().split("\n"))}
    vectorizer = TfidfVectorizer(sublinear_tf=True, vocabulary=vocabulary)
    vectorizer.idf_ = np.frombuffer(idf, dtype=np.float64)
    return vectorizer


def _texts(rows: pa.Table) -> list[str]:
    texts: list[str] = rows.column("text").to_pylist()
    if "text_pair" not in rows.column_names:
        return texts
    return [f"{a} {b}" for a, b in zip(texts, rows.column("text_pair").to_pylist(), strict=True)]
