"""`als`: users and items as vectors whose products tell who has what, by alternating least squares.

Hu, Koren and Volinsky 2008 (doi:10.1109/ICDM.2008.22) with their weight of 40 on what is taken, as the library
`implicit` has it: 100 factors, 15 rounds, regularisation 0.01. A user's vector is solved for from its history, so it
need not be one of those trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.core.errors import ModelError
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.taken import recommend, taken_items
from raybench.tasks.ranking import Ranked

__all__ = ["ALS"]


class ALS:
    """On one thread, whose sums have one order."""

    tasks = ("recommendation",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        with _model() as model:
            model.fit(taken_items(rows, "history", "item"), show_progress=False)
        return {"item_factors": model.item_factors}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> Ranked:
        with _model() as model:
            model.item_factors = np.ascontiguousarray(arrays["item_factors"])

            def scores(taken: Any) -> np.ndarray:
                return model.recalculate_user(np.arange(taken.shape[0]), taken) @ model.item_factors.T

            return recommend(rows, scores, dataset)


@contextmanager
def _model() -> Iterator[Any]:
    """A fresh one, while products take one thread, as the library asks for."""
    try:
        from implicit.als import AlternatingLeastSquares
    except ImportError as error:
        raise ModelError(f"baseline 'als': {error}; pip install 'raybench[recommendation]'") from error
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield AlternatingLeastSquares(alpha=40.0, num_threads=1, random_state=0)
