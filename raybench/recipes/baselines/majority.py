"""`majority`: always the commonest label, with the labels' shares as probabilities."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays

__all__ = ["Majority"]


class Majority:
    """The log of each label's share of the training rows, with one made-up row a label (Laplace)."""

    tasks = (
        "text-classification",
        "prompted-classification",
        "image-classification",
        "tabular-classification",
        "audio-classification",
    )
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        counts = np.bincount(rows.column("label").to_numpy(), minlength=len(dataset.labels)) + 1
        return {"log_share": np.log(counts / counts.sum()).astype(np.float32)}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        return np.tile(arrays["log_share"], (rows.num_rows, 1))
