"""Which examples a candidate has lost and gained between two runs.

flips = count_flips(metric_set, "accuracy", [(records_before, records_after), ...])      # a pair of tables a seed
flips.lost          # ids, those first that most seeds have lost
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.metrics import Metric, MetricSet
from raybench.metrics.compare import rows_in_common
from raybench.metrics.row_sums import successes

__all__ = ["Flips", "are_right", "count_flips"]


class Flips(NamedTuple):
    """`lost` and `gained` are the examples right before and wrong after, and the other way; None where nothing is
    right or wrong. `changed` are those of which any output is another."""

    changed: tuple[str, ...]
    lost: tuple[str, ...] | None = None
    gained: tuple[str, ...] | None = None


def count_flips(metric_set: MetricSet, name: str, pairs: Iterable[tuple[pa.Table, pa.Table]]) -> Flips:
    """Of all seeds together: an example stands where any seed has it, first where most have it."""
    lost: Counter[str] = Counter()
    gained: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    are_told = True
    for before, after in pairs:
        before, after = rows_in_common(before, after)
        ids = np.array(before.column("id").to_pylist(), dtype=object)
        changed.update(ids[_changed(before, after)])
        right = [are_right(metric_set, name, table) for table in (before, after)]
        if right[0] is None or right[1] is None:
            are_told = False
        else:
            lost.update(ids[right[0] & ~right[1]])
            gained.update(ids[right[1] & ~right[0]])
    return Flips(_ordered(changed), *((_ordered(lost), _ordered(gained)) if are_told else ()))


def are_right(metric_set: MetricSet, name: str, records: pa.Table) -> np.ndarray | None:
    """Whether each record is right, [N]: by the metric where it counts successes, else by class; None: by neither."""
    metric, options = metric_set.metric(name)
    if isinstance(metric, Metric) and metric.proportion is not None:
        found = successes(metric, options, records)
        if found is not None:
            return found
    columns = [records.column(column) for column in ("target", "prediction") if column in records.column_names]
    if len(columns) == 2 and all(pa.types.is_integer(column.type) for column in columns):
        return pc.equal(*columns).to_numpy(zero_copy_only=False)
    return None


def _changed(before: pa.Table, after: pa.Table) -> np.ndarray:
    """Whether any column of a record differs, [N]."""
    differs = np.zeros(before.num_rows, dtype=bool)
    for name in before.column_names:
        if name in after.column_names and not before.column(name).equals(after.column(name)):
            ours, theirs = before.column(name).to_pylist(), after.column(name).to_pylist()
            differs |= np.array([repr(a) != repr(b) for a, b in zip(ours, theirs, strict=True)])
    return differs


def _ordered(counted: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(counted, key=lambda one: (-counted[one], one)))
