"""How hard each example is, by how many of a run's trials get it right: thirds, to be scored as slices.

    parts = difficulties([records of each trial on a dataset])      # {id: "hard", "medium" or "easy"}

Where an answer is right or wrong, an example that at most a third of the trials gets right is hard and one that more
than two thirds get right is easy; elsewhere the thirds are those of the summed loss. A candidate's own mistakes make
examples hard: compare candidates within a part, with that in mind, and no part with another.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.results.example_losses import losses_of

__all__ = ["DIFFICULTY", "difficulties"]

DIFFICULTY = "difficulty"
_RIGHT_BELOW = 0.5  # of the loss of a class, which is 0 or 1 and a little more


def difficulties(trials: Iterable[pa.Table]) -> dict[str, str]:
    """By example id; MetricError where nothing tells how wrong a prediction is, or trials have other examples."""
    ids: list[str] | None = None
    wrong_N: np.ndarray | None = None
    has_classes, count = False, 0
    for records in trials:
        losses = losses_of(records)
        if losses is None:
            raise MetricError("slice 'difficulty': nothing in these records tells how wrong a prediction is")
        own = records.column("id").to_pylist()
        if ids is not None and own != ids:
            raise MetricError("slice 'difficulty': the trials were not scored on the same examples")
        has_classes = _has_classes(records)
        finite = np.where(np.isfinite(losses), losses, np.inf)
        added = (finite >= _RIGHT_BELOW).astype(float) if has_classes else np.nan_to_num(finite, posinf=1e300)
        ids, count = own, count + 1
        wrong_N = added if wrong_N is None else wrong_N + added
    if ids is None or wrong_N is None:
        return {}
    if has_classes:
        parts = np.select([3 * wrong_N >= 2 * count, 3 * wrong_N >= count], ["hard", "medium"], "easy")
    else:
        low, high = np.quantile(wrong_N, [1 / 3, 2 / 3])
        parts = np.select([wrong_N > high, wrong_N > low], ["hard", "medium"], "easy")
    return dict(zip(ids, parts.tolist(), strict=True))


def _has_classes(records: pa.Table) -> bool:
    kinds = [records.schema.field(name).type for name in ("target", "prediction") if name in records.column_names]
    return len(kinds) == 2 and all(map(pa.types.is_integer, kinds))
