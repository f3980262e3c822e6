"""What a multiple-choice model must beat: the commonest place, the longest choice, the one most like its question."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.tfidf import ALL_WORDS, fit_tfidf, open_tfidf

__all__ = ["LongestChoice", "MajorityChoice", "SimilarChoice"]


class MajorityChoice:
    """Each choice by how often the one at its place is right in training, with one made-up row a place."""

    tasks = ("multiple-choice",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        most = pc.max(pc.list_value_length(rows.column("choices"))).as_py()
        return {"count": np.bincount(rows.column("label").to_numpy(), minlength=most) + 1}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        """ln of the counts, float64 [choices of all rows]."""
        count = arrays["count"]
        sizes = pc.list_value_length(rows.column("choices")).to_numpy()
        places = np.concatenate([np.arange(size) for size in sizes]) if len(sizes) else np.zeros(0, np.int64)
        return np.log(np.where(places < len(count), count[np.minimum(places, len(count) - 1)], 1.0))


class LongestChoice:
    """Each choice by its number of characters."""

    tasks = ("multiple-choice",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        return {"scale": np.array([1.0])}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        lengths = pc.utf8_length(pc.list_flatten(rows.column("choices"))).to_numpy()
        return lengths * arrays["scale"]


class SimilarChoice:
    """Each choice by the cosine between its words and those of question and context, weighted by how rare they are."""

    tasks = ("multiple-choice",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        texts = [*_questions(rows), *pc.list_flatten(rows.column("choices")).to_pylist()]
        return fit_tfidf([*texts, "a"], "similar-choice", ALL_WORDS)[1]  # a word, where there is none

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        vectorizer = open_tfidf(arrays, ALL_WORDS)
        sizes = pc.list_value_length(rows.column("choices")).to_numpy()
        asked = vectorizer.transform(_questions(rows))[np.repeat(np.arange(rows.num_rows), sizes)]
        given = vectorizer.transform(pc.list_flatten(rows.column("choices")).to_pylist())
        return np.asarray(asked.multiply(given).sum(axis=1), dtype=np.float64).reshape(-1)


def _questions(rows: pa.Table) -> list[str]:
    names = [name for name in ("context", "question") if name in rows.column_names]
    return [" ".join(row.values()) for row in rows.select(names).to_pylist()]
