"""`tfidf-search`: documents by the cosine of their TF-IDF vectors with the query's."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.search import search
from raybench.recipes.baselines.tfidf import fit_tfidf, open_tfidf
from raybench.tasks.ranking import Ranked

__all__ = ["TfidfSearch"]


class TfidfSearch:
    """Words weighed by how rare they are in the corpus; nothing is fitted."""

    tasks = ("retrieval",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        return {}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Ranked:
        return search(rows, _index, dataset)


@lru_cache(maxsize=2)
def _index(texts: tuple[str, ...]) -> tuple[Any, Any]:
    features, arrays = fit_tfidf(texts, "tfidf-search")
    return open_tfidf(arrays), features.T.tocsc()
