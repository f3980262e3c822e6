"""`most-frequent-tag`: each word's commonest tag among the training rows; a word they lack has the commonest of all."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.tasks.rows import ragged

__all__ = ["MostFrequentTag"]


class MostFrequentTag:
    """Words as they are written; of tags equally common the first."""

    tasks = ("token-classification",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        tags = ragged(rows, "tags")
        tag_of = tags.values[tags.offsets[0] : tags.offsets[-1]].astype(np.int64)
        written = [word for row in rows.column("tokens").to_pylist() for word in row]
        words = sorted(set(written))
        place_of = {word: place for place, word in enumerate(words)}
        word_of = np.array([place_of[word] for word in written], dtype=np.int64)
        pairs, counts = np.unique(word_of * len(dataset.labels) + tag_of, return_counts=True)
        word, tag = np.divmod(pairs, len(dataset.labels))
        order = np.lexsort((tag, -counts, word))
        first = order[np.unique(word[order], return_index=True)[1]]
        return {
            "words": np.frombuffer("\0".join(words).encode(), dtype=np.uint8),
            "tags": tag[first].astype(np.int32),
            "commonest": np.array([np.bincount(tag_of, minlength=len(dataset.labels)).argmax()], dtype=np.int32),
        }

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> list[np.ndarray]:
        words, other = arrays["words"].tobytes().decode().split("\0"), int(arrays["commonest"][0])
        tag_of = dict(zip(words, arrays["tags"].tolist(), strict=bool(arrays["tags"].size)))
        found = rows.column("tokens").to_pylist()
        return [np.array([tag_of.get(word, other) for word in row], dtype=np.int64) for row in found]
