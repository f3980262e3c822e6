"""Sample weights: a metric whose sums are those of weight times what each record adds, as exact as without.

    weighted("macro_f1", MACRO_F1, "weight")       # reads the column `weight` too

A product of weight and number is kept as product and error (exact_sum.two_product), so weights 0.1 and 0.2 add to what
they are, in any order and any sharding. A weight of 2 is the record twice, one of 0 is no record. `n` counts records.
The interval is that of records drawn with their weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.columns import numbers_of
from raybench.metrics.exact_sum import exact_column_sums, split_nonfinite, two_product
from raybench.metrics.metric import Contribution, Measure, Metric, OneHot, Options, TableMetric, one_hot_total
from raybench.metrics.state import Cells

__all__ = ["weighted", "weights_of"]

_LARGEST = 1e150
_COUNTS = ("ignored", "invalid")  # of records, for the reason: these stay as they are
_OF_COUNTS = (
    "interval",
    "proportion",
    "trial_each",
    "class_proportion",
    "ends",
)  # how unweighted counts get an interval


def weights_of(records: pa.Table, column: str) -> np.ndarray:
    """The weight of each record, [N]: finite, from 0."""
    return numbers_of(records, column, low=0.0, high=_LARGEST, nan=False)


def weighted(name: str, metric: Metric | TableMetric, column: str) -> Metric | TableMetric:
    """The metric that weighs each record by `column`; MetricError where weights have no meaning."""
    if not (metric.measure.weights if isinstance(metric, Metric) else metric.weights):
        raise MetricError(
            f"metric {name!r} takes no weights; leave column {column!r} out, or say weight=None in the configuration"
        )
    if isinstance(metric, TableMetric):
        assert metric.weighted is not None
        return metric.weighted(metric, column)
    defaults: dict[str, Any] = {field.name: field.default for field in fields(Metric) if field.name in _OF_COUNTS}
    if metric.interval == "mean":  # of weighted sums it is a mean still
        del defaults["interval"]
    return replace(metric, measure=_weighted(metric.measure, column), **defaults)


def _weighted(measure: Measure, column: str) -> Measure:
    def contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
        weights_N = weights_of(records, column)
        found = measure.contributions(records, options)
        made: dict[str, Contribution] = {"examples": (_flat(found["n"]) * (weights_N > 0)).astype(np.int64)}
        for part, contribution in found.items():
            if part in _COUNTS:
                made[part] = contribution
            elif isinstance(contribution, OneHot):
                codes = np.where(weights_N > 0, contribution.codes, -1)
                made[part] = OneHot(codes, contribution.size, weights_N)
            else:
                made[part] = _products(contribution, weights_N)[0]
        return made

    def totals(records: pa.Table, options: Options) -> dict[str, Cells]:
        weights_N = weights_of(records, column)
        found = measure.contributions(records, options)
        made = {"examples": Cells.from_dense([int((_flat(found["n"]) * (weights_N > 0)).sum())], size=None)}
        for part, contribution in found.items():
            if part in _COUNTS:
                made[part] = Cells.from_dense([int(_flat(contribution).sum())], size=None)
            elif isinstance(contribution, OneHot):
                codes = np.where(weights_N > 0, contribution.codes, -1)
                made[part] = one_hot_total(OneHot(codes, contribution.size, weights_N))
            else:
                made |= _exact(part, contribution, weights_N)
        return made

    return replace(
        measure,
        name=f"{measure.name}, weighted",
        columns=_with_column(measure.columns, column),
        options={**measure.options, "weight": column},
        contributions=contributions,
        totals=totals,
    )


def _with_column(columns: Any, column: str) -> tuple[str, ...] | Callable[[Options], tuple[str, ...]]:
    if callable(columns):
        return lambda options: (*columns(options), column)
    return (*columns, column)


def _flat(contribution: Contribution) -> np.ndarray:
    assert isinstance(contribution, np.ndarray)
    return contribution


def _products(contribution: np.ndarray, weights_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight times number and its rounding error; a record without weight adds 0, whatever it holds."""
    values = contribution.astype(np.float64)
    shape = (-1, *[1] * (values.ndim - 1))
    weights = np.broadcast_to(weights_N.reshape(shape), values.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        product, error = two_product(np.where(weights > 0, values, 0.0), np.ascontiguousarray(weights))
    return product, error


def _exact(name: str, contribution: np.ndarray, weights_N: np.ndarray) -> dict[str, Cells]:
    """The exact sums of the products."""
    size = None if contribution.ndim == 1 else contribution.shape[1]
    width = size or 1
    product, error = (part.reshape(-1, width) for part in _products(contribution, weights_N))
    finite, others = split_nonfinite(product)
    rest = np.where(np.isfinite(error), error, 0.0)
    sums = [a + b for a, b in zip(exact_column_sums(finite), exact_column_sums(rest), strict=True)]
    found = {name: Cells.from_dense(sums, size=size, is_float=True)}
    for kind, where in others.items():
        found[f"{name}.{kind}"] = Cells.from_dense(where.sum(axis=0, dtype=np.int64), size=size)
    return found
