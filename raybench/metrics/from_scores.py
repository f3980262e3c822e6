"""The record columns that follow from the scores of all classes: `logits` or `probabilities`, which the caller names.

    with_records(table, {"labels": ["cat", "dog"]}, {"target", "nll"})      # adds `nll` from `probabilities`

They are made as scoring makes them (records.py), in float64. Two classes with a list of `scores` rank by the second.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.columns import class_targets, lists_of, matrix_of, refuse
from raybench.metrics.confusion import IGNORE_INDEX
from raybench.metrics.multilabel import truths_of
from raybench.metrics.records import Kind, classification_records, multilabel_records

__all__ = ["SCORES", "as_column", "with_records"]

SCORES: tuple[Kind, ...] = ("logits", "probabilities")
_OF_CLASSES = ("prediction", "confidence", "nll", "rank", "brier", "score", "scores")
_OF_LABELS = ("predictions", "scores")
_ROUNDING = 1e-2  # of a probability in bfloat16


def with_records(table: pa.Table, config: Mapping[str, Any], needed: Collection[str]) -> pa.Table:
    """The table with what is needed, is not there, and follows from the scores of all classes."""
    labels = config.get("labels")
    given = [name for name in SCORES if name in table.column_names and name not in needed]
    wanted = _OF_LABELS if "targets" in needed else _OF_CLASSES
    missing = [name for name in wanted if name in needed and name not in table.column_names]
    if missing and given:
        table = _derived(table, config, given, missing, several="targets" in needed)
    if "score" in missing and "scores" in table.column_names and labels is not None and len(labels) == 2:
        table = table if "score" in table.column_names else table.append_column("score", _second(table))
    return table


def _second(table: pa.Table) -> pa.Array:
    return pa.array(matrix_of(table, "scores", 2)[:, 1])


def _derived(
    table: pa.Table, config: Mapping[str, Any], given: list[Kind], missing: list[str], *, several: bool
) -> pa.Table:
    if len(given) > 1:
        raise MetricError("both 'logits' and 'probabilities' are given; expected one of them")
    if ("targets" if several else "target") not in table.column_names:
        return table  # the metric says what it lacks
    import torch

    kind, labels = given[0], config.get("labels")
    width = len(labels) if labels is not None else _width(table, kind)
    matrix_NC = matrix_of(table, kind, width).astype(np.float64)
    if kind == "probabilities":
        _require_probabilities(table, matrix_NC, one_sum=not several)
    scores = torch.from_numpy(np.array(matrix_NC))
    if several:
        found = multilabel_records(scores, torch.from_numpy(truths_of(table, "targets", width)), kind=kind)
    else:
        target, kept = class_targets(table, labels or list(range(width)), config.get("ignore_index", IGNORE_INDEX))
        codes = torch.from_numpy(np.where(kept, target, IGNORE_INDEX))
        found = classification_records(scores, codes, kind=kind, precise=True, max_scores=width)
    for name in missing:
        if name in found:
            table = table.append_column(name, as_column(found[name]))
    return table


def _width(table: pa.Table, name: str) -> int:
    offsets = lists_of(table, name).offsets
    return int(offsets[1]) if len(offsets) > 1 else 1


def _require_probabilities(table: pa.Table, matrix_NC: np.ndarray, *, one_sum: bool) -> None:
    """MetricError for a number outside 0 to 1, or for classes whose probabilities do not sum to 1."""
    outside_NC = (matrix_NC < 0) | (matrix_NC > 1 + _ROUNDING)
    if outside_NC.any():
        row, place = (int(places[0]) for places in np.nonzero(outside_NC))
        expected = "a probability from 0 to 1 (scores of another kind are logits=…, or score=…)"
        refuse(table, "probabilities", row, f"{matrix_NC[row, place]:g}", expected)
    off = np.abs(matrix_NC.sum(axis=1) - 1.0) > _ROUNDING
    if one_sum and off.any():
        row = int(np.argmax(off))
        refuse(table, "probabilities", row, f"a sum of {matrix_NC[row].sum():g}", "probabilities that sum to 1")


def as_column(values: np.ndarray) -> pa.Array:
    """An array [N] or [N, K] as a column."""
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), values.shape[1])
