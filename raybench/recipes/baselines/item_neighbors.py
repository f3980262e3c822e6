"""`item-neighbors`: items that others have beside those that a user has (item-based nearest neighbours).

The similarity of two items is the cosine of their columns of users, and each item keeps its 100 nearest; an item scores
the sum over those of the history that have it among theirs (Deshpande and Karypis 2004, doi:10.1145/963770.963776).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.taken import recommend, taken_items
from raybench.tasks.ranking import Ranked

__all__ = ["ItemNeighbors"]

_NEIGHBORS = 100
_AT_ONCE = 256  # items


class ItemNeighbors:
    """Of equal similarities the item that comes first in the catalogue is kept."""

    tasks = ("recommendation",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        taken = taken_items(rows, "history", "item").astype(np.float64).tocsc()
        norms = np.sqrt(np.asarray(taken.sum(axis=0)).ravel())
        neighbors, similarities, counts = [], [], []
        for start in range(0, taken.shape[1], _AT_ONCE):
            together = (taken[:, start : start + _AT_ONCE].T @ taken).tocsr()
            together.sort_indices()
            for item, (a, b) in enumerate(zip(together.indptr[:-1], together.indptr[1:], strict=True), start):
                others = together.indices[a:b]
                cosine = together.data[a:b] / (norms[item] * norms[others])
                nearest = np.argsort(-np.where(others == item, -1.0, cosine), kind="stable")[:_NEIGHBORS]
                nearest = nearest[others[nearest] != item]
                neighbors.append(others[nearest].astype(np.int32))
                similarities.append(cosine[nearest].astype(np.float32))
                counts.append(len(nearest))
        return {
            "neighbor": np.concatenate(neighbors),
            "similarity": np.concatenate(similarities),
            "offset": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        }

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Ranked:
        from scipy.sparse import csr_matrix

        size = len(arrays["offset"]) - 1
        near = csr_matrix((arrays["similarity"], arrays["neighbor"], arrays["offset"]), shape=(size, size))
        return recommend(rows, lambda taken: (taken @ near).toarray(), dataset)
