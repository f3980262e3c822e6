"""`copy-source`: the source as it is. Names, numbers and half of a summary need no model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.tasks.text_generation import Generated

__all__ = ["CopySource"]


class CopySource:
    """Nothing is fitted."""

    tasks = ("text-generation",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        return {}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Generated:
        return Generated.of(rows.column("source").to_pylist())
