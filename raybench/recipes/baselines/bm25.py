"""`bm25`: documents by the words they share with the query, the rare ones first; what every search engine is held to.

BM25 with Lucene's inverse document frequency, k1 = 1.2 and b = 0.75 (Robertson and Zaragoza 2009,
doi:10.1561/1500000019); words are runs of letters and digits in lower case. Nothing is fitted: frequencies are those
of the corpus.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.search import search
from raybench.tasks.ranking import Ranked

__all__ = ["BM25"]

_K1, _B = 1.2, 0.75


class BM25:
    """A word that a query has twice counts twice."""

    tasks = ("retrieval",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        return {}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Ranked:
        return search(rows, _index, dataset)


@lru_cache(maxsize=2)
def _index(texts: tuple[str, ...]) -> tuple[Any, Any]:
    """What counts a query's words, and the weight of each word in each document, sparse [words, N]."""
    from scipy.sparse import csc_matrix
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(token_pattern=r"\w+")
    try:
        counts = vectorizer.fit_transform(texts).astype(np.float64).tocoo()
    except ValueError:  # no word at all
        vectorizer.fit(["0"])
        return vectorizer, csc_matrix((1, len(texts)))
    lengths = np.bincount(counts.row, counts.data, len(texts))
    holding = np.bincount(counts.col, minlength=counts.shape[1])
    idf = np.log1p((len(texts) - holding + 0.5) / (holding + 0.5))
    damped = counts.data + _K1 * (1 - _B + _B * lengths[counts.row] / lengths.mean())
    weights = idf[counts.col] * counts.data * (_K1 + 1) / damped
    return vectorizer, csc_matrix((weights, (counts.col, counts.row)), shape=counts.shape[::-1])
