"""Linear models on raw inputs: words of a text by TF-IDF, pixels of a picture or mel statistics of a sound; one label,
several, or a number.

`tfidf-logistic`, `tfidf-one-vs-rest`, `tfidf-ridge`, `pixels-logistic`, `pixels-one-vs-rest`, `pixels-ridge`,
`mel-logistic`. With some hundred rows a bag of words beats many a fine-tuned model. scikit-learn's
LogisticRegression(C=1), one a label where a row has several (binary relevance), and Ridge(alpha=1).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import logistic_regression, one_vs_rest, ridge_regression
from raybench.recipes.baselines.mel_statistics import mel_statistics
from raybench.recipes.baselines.pixel_features import fit_pixels, pixel_features
from raybench.recipes.baselines.targets import label_matrix, standard_values
from raybench.recipes.baselines.tfidf import fit_tfidf, open_tfidf

__all__ = [
    "MelLogistic",
    "PixelsLogistic",
    "PixelsOneVsRest",
    "PixelsRidge",
    "TfidfLogistic",
    "TfidfOneVsRest",
    "TfidfRidge",
]

Fitted = dict[str, np.ndarray]


class _Linear(ABC):
    """Features [N, H] times `weight` [H, C] plus `bias` [C]; a class is a kind of inputs × a kind of targets."""

    name: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> Fitted:
        features, kept = self.learn(rows)
        return {**self.solve(features, rows, dataset), **kept}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        return np.asarray(self.read(arrays, rows) @ arrays["weight"] + arrays["bias"], dtype=np.float32)

    @abstractmethod
    def learn(self, rows: pa.Table) -> tuple[Any, Fitted]:
        """Features of the training rows, and the arrays by which `read` makes those of others."""

    @abstractmethod
    def read(self, arrays: Arrays, rows: pa.Table) -> Any:
        """Features [N, H]."""

    @abstractmethod
    def solve(self, features: Any, rows: pa.Table, dataset: DatasetKey) -> Fitted:
        """`weight` and `bias`."""


class _Words(_Linear):
    def learn(self, rows: pa.Table) -> tuple[Any, Fitted]:
        return fit_tfidf(_texts(rows), self.name)

    def read(self, arrays: Arrays, rows: pa.Table) -> Any:
        return open_tfidf(arrays).transform(_texts(rows))


class _Pixels(_Linear):
    version = 2

    def learn(self, rows: pa.Table) -> tuple[Any, Fitted]:
        features, shape = fit_pixels(rows)
        return features, {"shape": shape}

    def read(self, arrays: Arrays, rows: pa.Table) -> Any:
        return pixel_features(rows, arrays["shape"])


class _Mels(_Linear):
    def learn(self, rows: pa.Table) -> tuple[Any, Fitted]:
        raw = mel_statistics(rows.column("audio").to_pylist())
        mean, spread = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-6)
        return (raw - mean) / spread, {"mean": mean, "spread": spread}

    def read(self, arrays: Arrays, rows: pa.Table) -> Any:
        return (mel_statistics(rows.column("audio").to_pylist()) - arrays["mean"]) / arrays["spread"]


class _OneLabel(_Linear):
    def solve(self, features: Any, rows: pa.Table, dataset: DatasetKey) -> Fitted:
        return logistic_regression(features, rows.column("label").to_numpy(), len(dataset.labels))


class _SeveralLabels(_Linear):
    def solve(self, features: Any, rows: pa.Table, dataset: DatasetKey) -> Fitted:
        return one_vs_rest(features, label_matrix(rows, dataset))


class _Number(_Linear):
    def solve(self, features: Any, rows: pa.Table, dataset: DatasetKey) -> Fitted:
        return ridge_regression(features, standard_values(rows, dataset)[:, None])


class TfidfLogistic(_Words, _OneLabel):
    """Logistic regression on the words of a text, or of both texts of a pair, by TF-IDF."""

    name, tasks = "tfidf-logistic", ("text-classification", "prompted-classification")


class TfidfOneVsRest(_Words, _SeveralLabels):
    """A logistic regression a label, on the words of a text by TF-IDF."""

    name, tasks = "tfidf-one-vs-rest", ("multilabel-text-classification",)


class TfidfRidge(_Words, _Number):
    """Ridge regression on the words of a text by TF-IDF."""

    name, tasks = "tfidf-ridge", ("text-regression",)


class PixelsLogistic(_Pixels, _OneLabel):
    """Logistic regression on pixels in [0, 1], at the training pictures' size, at most 32 a side."""

    name, tasks = "pixels-logistic", ("image-classification",)


class MelLogistic(_Mels, _OneLabel):
    """Logistic regression on means and spreads of a sound's mel spectrum."""

    name, tasks = "mel-logistic", ("audio-classification",)


class PixelsOneVsRest(_Pixels, _SeveralLabels):
    """A logistic regression a label, on pixels."""

    name, tasks = "pixels-one-vs-rest", ("multilabel-image-classification",)


class PixelsRidge(_Pixels, _Number):
    """Ridge regression on pixels."""

    name, tasks = "pixels-ridge", ("image-regression",)


def _texts(rows: pa.Table) -> list[str]:
    texts: list[str] = rows.column("text").to_pylist()
    if "text_pair" not in rows.column_names:
        return texts
    return [f"{a} {b}" for a, b in zip(texts, rows.column("text_pair").to_pylist(), strict=True)]
