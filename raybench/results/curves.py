"""Curves from stored records: reliability, ROC and precision–recall, each of one configuration.

    reliability(records)            # accuracy against confidence, 15 bins of equal width as in ECE
    roc(records, labels)            # the mean over classes, one against the rest
    precision_recall(records, labels)

Records of several seeds are read one under the other. None where the records have not what a curve needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import integers_of, matrix_of, numbers_of

__all__ = ["Curve", "Reliability", "precision_recall", "reliability", "roc"]

_BINS = 15
_GRID = np.linspace(0.0, 1.0, 201)  # where a curve is drawn


class Reliability(NamedTuple):
    """Of each bin that holds examples: mean confidence, accuracy, examples."""

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    examples: tuple[int, ...]


class Curve(NamedTuple):
    """`area` is that under the curve drawn, over `classes` classes that occur."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    area: float
    classes: int


def reliability(records: pa.Table) -> Reliability | None:
    """How often the candidate is right where it is so confident."""
    if not {"target", "prediction", "confidence"} <= set(records.column_names):
        return None
    confidence = numbers_of(records, "confidence")
    known = np.isfinite(confidence)
    if not known.any():
        return None
    right = (integers_of(records, "prediction") == integers_of(records, "target"))[known]
    confidence = confidence[known]
    bins = np.searchsorted(np.arange(1, _BINS) / _BINS, confidence, side="left")
    counts = np.bincount(bins, minlength=_BINS)
    filled = counts > 0
    sure, true = (np.bincount(bins, weights=of, minlength=_BINS)[filled] / counts[filled] for of in (confidence, right))
    return Reliability(tuple(map(float, sure)), tuple(map(float, true)), tuple(map(int, counts[filled])))


def roc(records: pa.Table, labels: Sequence[str]) -> Curve | None:
    """The true positive rate at each false positive rate."""

    def of(counts: _Counts) -> np.ndarray:
        return np.interp(_GRID, counts.false / counts.false[-1], counts.true / counts.true[-1])

    return _mean_curve(records, labels, of)


def precision_recall(records: pa.Table, labels: Sequence[str]) -> Curve | None:
    """At each recall the best precision of the thresholds that reach it."""

    def of(counts: _Counts) -> np.ndarray:
        taken = counts.true + counts.false
        precision = np.divide(counts.true, taken, out=np.ones(taken.size), where=taken > 0)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        return best[np.searchsorted(counts.true / counts.true[-1], _GRID - 1e-12)]

    return _mean_curve(records, labels, of)


class _Counts(NamedTuple):
    """True and false positives at each threshold, none first, then from the highest down."""

    true: np.ndarray
    false: np.ndarray


def _counts(is_class: np.ndarray, scores: np.ndarray) -> _Counts:
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)  # the last of each run of equal scores
    true = np.cumsum(is_class[order])[ends]
    return _Counts(np.concatenate([[0], true]), np.concatenate([[0], ends + 1 - true]))


def _mean_curve(records: pa.Table, labels: Sequence[str], of: Callable[[_Counts], np.ndarray]) -> Curve | None:
    found = [
        of(_counts(is_class, scores))
        for is_class, scores in _one_against_rest(records, labels)
        if is_class.any() and not is_class.all() and np.isfinite(scores).all()
    ]
    if not found:
        return None
    mean = np.mean(found, axis=0)
    return Curve(tuple(map(float, _GRID)), tuple(map(float, mean)), float(np.trapezoid(mean, _GRID)), len(found))


def _one_against_rest(records: pa.Table, labels: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(is it this class, its score) of each class; of two classes the second alone."""
    names, width = set(records.column_names), len(labels)
    if {"targets", "scores"} <= names:
        targets, scores = (matrix_of(records, name, width) for name in ("targets", "scores"))
        return [(targets[:, place] == 1, scores[:, place]) for place in range(width)]
    if "target" not in names or not pa.types.is_integer(records.schema.field("target").type):
        return []
    target = integers_of(records, "target")
    if width == 2 and "score" in names:
        return [(target == 1, numbers_of(records, "score"))]
    if "scores" in names and width > 2:
        scores = matrix_of(records, "scores", width)
        return [(target == place, scores[:, place]) for place in range(width)]
    return []
