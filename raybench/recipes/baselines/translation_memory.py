"""`translation-memory`: the target of the training source that is most alike by TF-IDF of its letters."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.stored_texts import load_texts, store_texts
from raybench.tasks.text_generation import Generated

__all__ = ["TranslationMemory"]

_AT_ONCE = 256  # rows compared with all of the memory: their cosines are held, never those of all rows


class TranslationMemory:
    """Runs of 1 to 4 letters within words, sublinear counts; of equals the first in the rows' order of content."""

    tasks = ("text-generation",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        targets = [texts[0] for texts in rows.column("target").to_pylist()]
        return {**store_texts("sources", rows.column("source").to_pylist()), **store_texts("targets", targets)}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Generated:
        vectorizer, memory = _memory(tuple(load_texts(arrays, "sources")))
        targets, found = load_texts(arrays, "targets"), []
        sources = rows.column("source").to_pylist()
        for start in range(0, len(sources), _AT_ONCE):
            cosines = (vectorizer.transform(sources[start : start + _AT_ONCE]) @ memory).toarray()
            found += [targets[place] for place in cosines.argmax(axis=1).tolist()]
        return Generated.of(found)


@lru_cache(maxsize=2)
def _memory(sources: tuple[str, ...]) -> tuple[Any, Any]:
    """The vectorizer of the memory's sources, and their features [words, N]."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    return vectorizer, vectorizer.fit_transform(["\0" if not text.strip() else text for text in sources]).T.tocsr()
