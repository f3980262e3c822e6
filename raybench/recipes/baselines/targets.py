"""Targets of raw rows as arrays, as the questions of `raybench.tasks` mean them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.tasks.rows import multi_hot

__all__ = ["label_matrix", "standard_values"]


def label_matrix(rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
    """int64 [N, L]: 1 where a row has a label."""
    return multi_hot(rows, "labels", len(dataset.labels))


def standard_values(rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
    """float64 [N]: the rows' numbers, in standard deviations from the training rows' mean."""
    mean, std = dataset.statistics.get("mean", 0.0), dataset.statistics.get("std", 1.0)
    values: np.ndarray = (rows.column("value").to_numpy() - mean) / std
    return values
