"""From which probability on a label is given: what a threshold makes of records, and which one validation records pick.

    picked = pick_threshold(records, "macro_f1", config)        # Picked(threshold=0.31, value=0.93, at_half=0.91)
    at_threshold(records, picked.threshold)                     # `prediction` and `confidence`, or `predictions`, by it

Of records of two labels (`score`) and of several labels at once (`scores`, one threshold for all). Scores stay as they
are, so what reads them (AUC, log loss) does too. Which rows were scored where, and in what order, changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.metrics.metric_set import MetricSet
from raybench.metrics.scoring import Scorer

__all__ = ["HALF", "Picked", "at_threshold", "pick_threshold"]

HALF = 0.5  # records are made with it
_MOST = 200  # thresholds that are tried
_DIGITS = 4  # of a threshold, so that it can be read and given again


class Picked(NamedTuple):
    """`value` is the metric with the threshold, `at_half` with 0.5; None where it is undefined."""

    threshold: float
    metric: str
    value: float | None
    at_half: float | None


def at_threshold(records: pa.Table, threshold: float) -> pa.Table:
    """What is predicted from this probability on (`>=`); of two labels it is that of the second, in their order.

    Rows without a score keep having no prediction; 0.5 is what the records were made with.
    """
    if threshold == HALF:
        return records
    least = math.log(threshold) - math.log1p(-threshold)
    if "predictions" in records.column_names:
        scores = _flat(records, "scores")
        kind = records.schema.field("predictions").type
        flat = pa.array((scores >= least).astype(np.int8))
        return _with(records, "predictions", pa.FixedSizeListArray.from_arrays(flat, kind.list_size))
    from scipy.special import expit

    before = records.column("prediction").to_numpy()
    score = records.column("score").to_numpy().astype(np.float64)
    second = score >= least
    told = pa.array(np.where(before < 0, before, second).astype(before.dtype))
    of_told = expit(np.where(second, score, -score))
    confidence = np.where(before < 0, records.column("confidence").to_numpy(), of_told)
    kept = records.schema.field("confidence").type
    return _with(_with(records, "prediction", told), "confidence", pa.array(confidence).cast(kept, safe=False))


def pick_threshold(records: pa.Table, metric: str, config: Mapping[str, Any]) -> Picked:
    """The threshold with the best value of a metric; of equal ones that nearest to 0.5, then the lower.

    Tried are 0.5 and the midpoints of neighbouring probabilities, all of them or 200 spread evenly over their order,
    to four digits.
    """
    metrics = MetricSet((metric,), config)
    sign = -1.0 if metrics.info(metric).higher_is_better is False else 1.0
    values = {threshold: _value(metrics, at_threshold(records, threshold)) for threshold in _tried(records)}
    defined = {threshold: value for threshold, value in values.items() if value is not None}
    best = min(defined, key=lambda one: (-sign * defined[one], abs(one - HALF), one), default=HALF)
    return Picked(best, metric, values[best], values[HALF])


def _tried(records: pa.Table) -> list[float]:
    from scipy.special import expit

    column = "scores" if "predictions" in records.column_names else "score"
    scores = _flat(records, column)
    probabilities = expit(np.unique(scores[np.isfinite(scores)]))
    between = (probabilities[1:] + probabilities[:-1]) / 2
    if len(between) > _MOST:
        between = between[np.linspace(0, len(between) - 1, num=_MOST).astype(int)]
    rounded = {float(f"{one:.{_DIGITS}g}") for one in between}
    return sorted({HALF, *(one for one in rounded if 0 < one < 1)})


def _value(metrics: MetricSet, records: pa.Table) -> float | None:
    states = metrics.states(records)
    (name,) = metrics.names
    scorer = Scorer(states, lambda: records, seed=0, group=metrics.group, intervals=False)
    return metrics.score(name, scorer).value


def _flat(records: pa.Table, column: str) -> np.ndarray:
    cells = records.column(column).combine_chunks()
    values = cells.flatten() if pa.types.is_fixed_size_list(cells.type) else cells
    scores: np.ndarray = values.to_numpy(zero_copy_only=False).astype(np.float64)
    return scores


def _with(records: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return records.set_column(records.column_names.index(column), records.schema.field(column), values)
