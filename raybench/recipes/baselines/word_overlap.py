"""`word-overlap`: two texts are alike by the share of their words that both have."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays

__all__ = ["WordOverlap"]

_WORD = re.compile(r"\w+")


class WordOverlap:
    """Jaccard's index of the sets of words in lower case, 0 where there are none; nothing is fitted."""

    tasks = ("sentence-similarity",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        return {}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        pairs = zip(rows.column("text").to_pylist(), rows.column("text_pair").to_pylist(), strict=True)
        return np.array([_jaccard(_words(first), _words(second)) for first, second in pairs], dtype=np.float64)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _jaccard(first: set[str], second: set[str]) -> float:
    return len(first & second) / len(first | second) if first | second else 0.0
