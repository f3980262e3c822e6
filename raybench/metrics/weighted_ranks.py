"""ROC-AUC and average precision of weighted records: a pair counts as the product of its weights, a hit as its own.

Sums of weights are taken in the order of ids, so they are the same bits in any sharding; whole numbers are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.metrics.metric import Options, TableMetric
from raybench.metrics.weights import weights_of

__all__ = ["Split", "auc", "average_precision", "weighing"]


class Split(NamedTuple):
    """One question of yes and no: scores of the rows that take part, which are positive, and its share in the mean."""

    rows: np.ndarray
    scores: np.ndarray
    positive: np.ndarray
    weight: float

    @property
    def is_defined(self) -> bool:
        return bool(self.positive.any() and not self.positive.all())


Splits = Callable[[pa.Table, Options], Iterator[Split]]
Formula = Callable[[Split, np.ndarray], tuple[float, np.ndarray] | None]  # value and influence of each of its rows


def weighing(
    splits: Splits, formula: Formula, *, by_support: bool = False
) -> Callable[[TableMetric, str], TableMetric]:
    """How such a metric is weighed; the mean over splits by the weight of their positives, if so asked."""
    return lambda metric, column: _weighted(metric, column, splits, formula, by_support)


def _weighted(metric: TableMetric, column: str, splits: Splits, formula: Formula, by_support: bool) -> TableMetric:
    def found(records: pa.Table, options: Options) -> list[tuple[Split, float, np.ndarray, float]]:
        """Each split with its value, the influences of its rows (of `records`) and its share."""
        weights_N = weights_of(records, column)
        kept = np.flatnonzero(weights_N > 0)
        made = []
        for split in splits(records.take(pa.array(kept)), options):
            weights = weights_N[kept][split.rows]
            parts = formula(split, weights)
            if parts is not None:
                share = float(weights[split.positive].sum()) if by_support else split.weight
                made.append((split._replace(rows=kept[split.rows]), *parts, share))
        return made

    def value(records: pa.Table, options: Options) -> float:
        parts = found(records, options)
        shares = sum(share for *_, share in parts)
        return sum(share * one for _, one, _, share in parts) / shares if parts else float("nan")

    def influence(records: pa.Table, options: Options) -> np.ndarray:
        parts = found(records, options)
        influence_N = np.zeros(records.num_rows)
        for split, _, influences, share in parts:
            influence_N[split.rows] += share * influences
        return influence_N / sum(share for *_, share in parts)

    def among(records: pa.Table) -> pa.Table:
        return records.filter(pa.array(weights_of(records, column) > 0))

    columns = metric.columns
    return replace(
        metric,
        columns=(lambda options: (*columns(options), column)) if callable(columns) else (*columns, column),
        measure=value,
        influence=influence,
        exchanged=None,
        count=lambda records, options: metric.count(among(records), options),
        problem=lambda records, options: metric.problem(among(records), options),
        trials=None,
        moderated=None,
        bias=None,
        options={**metric.options, "weight": column},
    )


def auc(split: Split, weights: np.ndarray) -> tuple[float, np.ndarray] | None:
    """The share of pairs in order, by the product of their weights, ties half."""
    levels, level = np.unique(split.scores, return_inverse=True)
    if not split.positive.any() or split.positive.all():
        return None
    positive, negative = (
        np.bincount(level, weights=np.where(side, weights, 0.0), minlength=levels.size)
        for side in (split.positive, ~split.positive)
    )
    all_positive, all_negative = positive.sum(), negative.sum()
    below = np.cumsum(negative) - negative / 2
    above = all_positive - np.cumsum(positive) + positive / 2
    value = float((positive * below).sum() / (all_positive * all_negative))
    share = np.where(split.positive, below[level] / all_negative, above[level] / all_positive)
    return value, weights * (share - value) / np.where(split.positive, all_positive, all_negative)


def average_precision(split: Split, weights: np.ndarray) -> tuple[float, np.ndarray] | None:
    """The mean, over the weight of positives, of the precision at their score."""
    if not split.positive.any():
        return None
    levels, level = np.unique(-split.scores, return_inverse=True)
    at = np.bincount(level, weights=np.where(split.positive, weights, 0.0), minlength=levels.size)
    rows = np.cumsum(np.bincount(level, weights=weights, minlength=levels.size))
    precision, total = np.cumsum(at) / rows, at.sum()
    value = float((at * precision).sum() / total)
    hit_tail = np.cumsum((at / rows)[::-1])[::-1]
    precision_tail = np.cumsum((at * precision / rows)[::-1])[::-1]
    own = split.positive * (precision[level] - value + hit_tail[level])
    return value, weights * (own - precision_tail[level]) / total
