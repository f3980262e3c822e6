"""The protocol of baselines: arrays out of training rows, a task's outputs out of arrays and rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey

__all__ = ["Arrays", "Baseline"]

Arrays = Mapping[str, np.ndarray]


class Baseline(Protocol):
    """A candidate that needs no network. `version` goes into the identity of its trials: raise it with the code."""

    tasks: tuple[str, ...]
    version: int

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        """All that scoring needs."""

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Any:
        """What the task's `records` read of the rows: for a classifier float32 logits [rows, labels]."""
