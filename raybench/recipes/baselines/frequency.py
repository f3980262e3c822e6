"""`frequency`: every label as likely as it is among the training rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.targets import label_matrix

__all__ = ["Frequency"]


class Frequency:
    """The log-odds of each label's share, with one made-up row with it and one without (Laplace)."""

    tasks = ("multilabel-text-classification", "multilabel-image-classification")
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        counts = label_matrix(rows, dataset).sum(axis=0) + 1
        return {"log_odds": np.log(counts / (rows.num_rows + 2 - counts)).astype(np.float32)}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        return np.tile(arrays["log_odds"], (rows.num_rows, 1))
