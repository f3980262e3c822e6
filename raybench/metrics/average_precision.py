"""Average precision: the mean, over positives, of the precision at their score, not interpolated; ties are one step.

Classes as in roc.py. A class without a positive has none; without any, it is undefined.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum

import numpy as np

from raybench.metrics.confusion import IGNORE_INDEX
from raybench.metrics.influence import edge_variance
from raybench.metrics.metric import REQUIRED, TableMetric
from raybench.metrics.roc import (
    check_positive,
    columns_of,
    count_of,
    label_splits,
    ranks_of,
    scores_problem,
    splits_of,
)
from raybench.metrics.weighted_ranks import Split, weighing
from raybench.metrics.weighted_ranks import average_precision as weighted_precision

__all__ = [
    "AVERAGE_PRECISION",
    "MULTILABEL_AVERAGE_PRECISION",
    "WEIGHTED_AVERAGE_PRECISION",
    "average_precision",
    "exchanged_average_precision",
]

_SOURCE = "https://scikit-learn.org/stable/modules/model_evaluation.html#precision-recall-f-measure-metrics"


def _thresholds(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By falling threshold: positives at it, positives from it up, rows from it up."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])  # no difference: that of equal infinities is NaN
    hits = np.cumsum(positive[order])[ends]
    return np.diff(hits, prepend=0), hits, ends + 1


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Σ over thresholds of (positives at it) · (precision at it) / P; NaN without positives."""
    at, hits, rows = _thresholds(scores, positive)
    return fsum(at * (hits / rows)) / int(hits[-1]) if positive.any() else float("nan")


def _mean(splits: Iterator[Split]) -> float:
    found = [split for split in splits if split.positive.any()]
    weights = fsum(split.weight for split in found)
    total = fsum(split.weight * average_precision(split.scores, split.positive) for split in found)
    return total / weights if found else float("nan")


def _influence(splits: Iterator[Split], num_rows: int) -> np.ndarray:
    """d AP / d weight of each row: its own precision if positive, and what it does to the precisions below it."""
    influence_N, weights = np.zeros(num_rows), 0.0
    for split in (split for split in splits if split.positive.any()):
        at, hits, rows = _thresholds(split.scores, split.positive)
        levels = np.unique(-split.scores, return_inverse=True)[1]
        precision = hits / rows
        total = hits[-1]
        hit_tail = np.cumsum((at / rows)[::-1])[::-1]  # Σ over thresholds at or below of positives / rows
        precision_tail = np.cumsum((at * precision / rows)[::-1])[::-1]
        value = float((at * precision).sum() / total)
        own = split.positive * (precision[levels] - value)
        influence_N[split.rows] += (
            split.weight * (own + split.positive * hit_tail[levels] - precision_tail[levels]) / total
        )
        weights += split.weight
    return influence_N / weights


def exchanged_average_precision(ours: Iterator[Split], theirs: Iterator[Split], num_rows: int) -> np.ndarray:
    """Each row's share in the difference of two mean average precisions, to first order in what the models exchange.

    The precision at a positive is held against the others' scores as either model has them, half of each: so much is
    left of it on average over the others' exchanges. A positive's own share is the difference of its two precisions;
    a row's is what it adds to those of the positives that it is above by one model and not by the other. Scores are
    compared across models by their ranks.
    """
    shares_N, weights = np.zeros(num_rows), 0.0
    for split, other in zip(ours, theirs, strict=True):
        positive = split.positive
        if not positive.any():
            continue
        models = ranks_of(split.scores), ranks_of(other.scores)
        shares = np.zeros(positive.size)
        for ranks, sign in zip(models, (1.0, -1.0), strict=True):
            at = ranks[positive]
            own = sum((by_model[positive] >= at).astype(np.float64) for by_model in models) / 2
            hits, rows = (
                1 - own + sum(_at_or_above(at, by_model[side]) for by_model in models) / 2
                for side in (positive, slice(None))
            )
            precision = hits / rows
            shares[positive] += sign * precision
            order = np.argsort(at, kind="stable")
            hit, row = (np.r_[0.0, np.cumsum(part[order])] for part in (1 / rows, precision / rows))
            for by_model, moved in zip(models, (0.5, -0.5), strict=True):
                below = np.searchsorted(at[order], by_model, "right")
                shares += moved * (np.where(positive, hit[below], 0.0) - row[below])
                shares[positive] -= moved * (by_model[positive] >= at) * (1 - precision) / rows  # not of itself
        shares_N[split.rows] += split.weight * shares / positive.sum()
        weights += split.weight
    return shares_N / weights


def _at_or_above(ranks: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How many others are at each rank or above it."""
    return np.asarray(others.size - np.searchsorted(np.sort(others), ranks, "left"))


def _moderated(splits: Iterator[Split], seen: float) -> float:
    """The variance seen of a mean average precision, and what splits without a mistake leave open."""
    found = [split for split in splits if split.positive.any()]
    values = np.array([average_precision(split.scores, split.positive) for split in found])
    counts = np.array([int(split.positive.sum()) for split in found])
    return seen + edge_variance(values, counts, (0.0, 1.0))


def _bias(splits: Iterator[Split]) -> float:
    """By how much the value is expected to exceed that of infinitely many rows.

    A positive is among the rows at its own score: the hits among r - 1 others are binomial of some share p, so the mean
    of (1 + hits) / r is p + (1 - p) / r. And it is not among the positives that it is held against, P - 1 of P, so p is
    lower by p (1 - p) / P. Of a first rank's p no other row tells, so the value stands for it.
    """
    biases, weights = [], []
    for split in (split for split in splits if split.positive.any()):
        at, hits, rows = _thresholds(split.scores, split.positive)
        precision, total = hits / rows, int(hits[-1])
        value = fsum(at * precision) / total
        own = np.where(rows > 1, (1 - precision) / np.maximum(1, rows - 1), 1 - value)
        biases.append(split.weight * fsum(at * (own - precision * (1 - precision) / total)) / total)
        weights.append(split.weight)
    return max(0.0, fsum(biases) / fsum(weights))


def _problem(splits: Iterator[Split]) -> str | None:
    found = list(splits)
    if not any(split.positive.any() for split in found):
        return "no positive among the targets"
    problem = scores_problem(iter(found))
    return problem if problem is not None and "NaN" in problem else None


def _by_class(average: str) -> TableMetric:
    return TableMetric(
        columns=columns_of,
        measure=lambda records, options: _mean(splits_of(records, options, average)),
        influence=lambda records, options: _influence(splits_of(records, options, average), records.num_rows),
        exchanged=lambda a, b, options: exchanged_average_precision(
            splits_of(a, options, average), splits_of(b, options, average), a.num_rows
        ),
        count=count_of,
        moderated=lambda records, options, value, seen: _moderated(splits_of(records, options, average), seen),
        bias=lambda records, options: _bias(splits_of(records, options, average)),
        trials=lambda records, options: _positives(splits_of(records, options, "macro")),
        problem=lambda records, options: _problem(splits_of(records, options, average)),
        options={"labels": REQUIRED, "positive": None, "ignore_index": IGNORE_INDEX},
        check=check_positive,
        higher_is_better=True,
        undefined="no positive among the targets",
        weighted=weighing(lambda r, o: splits_of(r, o, average), weighted_precision, by_support=average == "weighted"),
        source=_SOURCE,
    )


def _positives(splits: Iterator[Split]) -> int:
    """The fewest positives that an average precision among these rests upon."""
    return min(count for split in splits if (count := int(split.positive.sum())))


AVERAGE_PRECISION, WEIGHTED_AVERAGE_PRECISION = _by_class("macro"), _by_class("weighted")
MULTILABEL_AVERAGE_PRECISION = TableMetric(
    columns=("targets", "scores"),
    measure=lambda records, options: _mean(label_splits(records, options)),
    influence=lambda records, options: _influence(label_splits(records, options), records.num_rows),
    exchanged=lambda a, b, options: exchanged_average_precision(
        label_splits(a, options), label_splits(b, options), a.num_rows
    ),
    moderated=lambda records, options, value, seen: _moderated(label_splits(records, options), seen),
    bias=lambda records, options: _bias(label_splits(records, options)),
    trials=lambda records, options: _positives(label_splits(records, options)),
    problem=lambda records, options: _problem(label_splits(records, options)),
    options={"labels": REQUIRED},
    higher_is_better=True,
    undefined="no positive among the targets",
    weighted=weighing(label_splits, weighted_precision),
    source=_SOURCE,
)
