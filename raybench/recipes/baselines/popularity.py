"""`popularity`: to everyone what most have taken and they have not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.taken import recommend, taken_items
from raybench.tasks.ranking import Ranked

__all__ = ["Popularity"]


class Popularity:
    """How many training users have an item."""

    tasks = ("recommendation",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        return {"count": np.asarray(taken_items(rows, "history", "item").sum(axis=0), dtype=np.float32).ravel()}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Ranked:
        return recommend(rows, lambda taken: np.tile(arrays["count"], (taken.shape[0], 1)), dataset)
