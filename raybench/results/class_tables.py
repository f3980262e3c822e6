"""What a configuration does by class: the confusion matrix, and precision, recall and F1 with their intervals.

confusion(records, labels).cells            # [target][prediction]
class_scores(records, task, labels)["f1"]   # {label: Score}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core import Score
from raybench.metrics import MetricSet
from raybench.metrics.columns import integers_of
from raybench.metrics.confusion import count_cells
from raybench.metrics.requirements import misfit

__all__ = ["Confusion", "class_scores", "confusion"]

_BY_CLASS = {
    "precision": ("macro_precision", "multilabel_macro_precision"),
    "recall": ("macro_recall", "multilabel_macro_recall"),
    "F1": ("macro_f1", "multilabel_macro_f1", "token_macro_f1", "entity_macro_f1"),
}


class Confusion(NamedTuple):
    """`cells[target][prediction]`; `unclassed` predictions are no class (after NaN)."""

    labels: tuple[str, ...]
    cells: tuple[tuple[int, ...], ...]
    unclassed: int


def confusion(records: pa.Table, labels: Sequence[str]) -> Confusion | None:
    """Of records with one class an example; None of others."""
    if not labels or not {"target", "prediction"} <= set(records.column_names):
        return None
    if not all(pa.types.is_integer(records.schema.field(name).type) for name in ("target", "prediction")):
        return None
    target, prediction = integers_of(records, "target"), integers_of(records, "prediction")
    is_class = (target >= 0) & (target < len(labels))
    known = is_class & (prediction >= 0) & (prediction < len(labels))
    cells = count_cells(np.ascontiguousarray(target[known]), np.ascontiguousarray(prediction[known]), len(labels))
    return Confusion(tuple(labels), tuple(map(tuple, cells.tolist())), int((is_class & ~known).sum()))


def class_scores(records: pa.Table, config: Mapping[str, Any]) -> dict[str, Mapping[str, Score]]:
    """By measure the score of each class, of those measures that fit the records."""
    found = {}
    for shown, candidates in _BY_CLASS.items():
        name = next((one for one in candidates if misfit(one, records.schema, config) is None), None)
        if name is not None:
            metric_set = MetricSet([name], config)
            found[shown] = metric_set.compute(metric_set.states(records), records=lambda: records)[name].per_class
    return {shown: scores for shown, scores in found.items() if scores}
