"""Users and items as a matrix, and the best items by what a baseline makes of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.tasks.catalog import task_of
from raybench.tasks.items import catalogue_of, rank_unseen, rows_of
from raybench.tasks.ranking import Ranked
from raybench.tasks.rows import Ragged, ragged

__all__ = ["recommend", "taken_items"]

_AT_ONCE = 256  # users


def taken_items(rows: pa.Table, *names: str) -> Any:
    """float32 CSR [users, items] of 1 where a user has an item in one of these columns."""
    from scipy.sparse import csr_matrix

    size = (rows.num_rows, len(catalogue_of(rows)))
    parts = [ragged(rows, name) for name in names]
    users = np.concatenate([np.repeat(np.arange(rows.num_rows), np.diff(part.offsets)) for part in parts])
    items = np.concatenate([_values(part) for part in parts])
    return csr_matrix((np.ones(len(items), dtype=np.float32), (users, items)), shape=size)


def recommend(rows: pa.Table, scores: Callable[[Any], np.ndarray], dataset: DatasetKey) -> Ranked:
    """`scores` gives [users, items] of some rows of the matrix of histories; a few users at a time."""
    import torch

    depth = task_of(dataset).settings.depth
    matrix, history, wanted = taken_items(rows, "history"), ragged(rows, "history"), ragged(rows, "item")
    indices: list[np.ndarray] = []
    found: list[np.ndarray] = []
    for start in range(0, rows.num_rows, _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, rows.num_rows))
        piece = torch.from_numpy(np.asarray(scores(matrix[some.start : some.stop]), dtype=np.float32))
        ranked = rank_unseen(iter([piece]), rows_of(history, some), rows_of(wanted, some), depth)
        indices += ranked.indices
        found += ranked.scores
    return Ranked(indices, found)


def _values(lists: Ragged) -> np.ndarray:
    return lists.values[lists.offsets[0] : lists.offsets[-1]]
