"""`token-logistic`: logistic regression on a word's letters and shape and on its neighbours', word by word."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.core.errors import IncompatibleError
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import logistic_regression
from raybench.tasks.rows import ragged

__all__ = ["TokenLogistic"]

_NUM_FEATURES = 2**16  # hashed; two that meet are one
_MOST_STEPS = 100


class TokenLogistic:
    """The word, its shape (Xx-dd), beginning and ends, and the words and ends beside it, hashed.

    Only columns that a training row has are kept.
    """

    tasks = ("token-classification",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        from sklearn.exceptions import ConvergenceWarning

        tags = ragged(rows, "tags")
        labels = tags.values[tags.offsets[0] : tags.offsets[-1]]
        if not len(labels):
            raise IncompatibleError("token-logistic: no training row has a token")
        features = _hashed(rows)
        columns = np.unique(features.indices)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # what is not settled after these steps changes little
            arrays = logistic_regression(features[:, columns], labels, len(dataset.labels), max_iter=_MOST_STEPS)
        return {"columns": columns.astype(np.int32), **{name: a.astype(np.float32) for name, a in arrays.items()}}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> list[np.ndarray]:
        counts = [len(row) for row in rows.column("tokens").to_pylist()]
        best = np.zeros(0, dtype=np.int64)
        if sum(counts):
            logits = _hashed(rows)[:, arrays["columns"]] @ arrays["weight"] + arrays["bias"]
            best = np.asarray(logits).argmax(axis=1)
        return np.split(best, np.cumsum(counts)[:-1])


def _hashed(rows: pa.Table) -> Any:
    """Sparse [words, features]."""
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(_NUM_FEATURES, input_type="string", alternate_sign=False, dtype=np.float32)
    return hasher.transform(features for row in rows.column("tokens").to_pylist() for features in _of_words(row))


def _of_words(words: list[str]) -> Iterator[list[str]]:
    about = [_about(word) for word in words]
    for place, own in enumerate(about):
        before = about[place - 1] if place else ["<"]
        after = about[place + 1] if place + 1 < len(words) else [">"]
        yield [*own, *(f"-{one}" for one in before[:3]), *(f"+{one}" for one in after[:3])]


def _about(word: str) -> list[str]:
    small = word.lower()
    shape = re.sub(r"\d+", "d", re.sub(r"[^\W\d_a-z]+", "X", re.sub(r"[a-z]+", "x", word)))
    return [f"w{small}", f"3{small[-3:]}", f"s{shape}", f"2{small[-2:]}", f"1{small[-1:]}", f"b{small[:2]}"]
