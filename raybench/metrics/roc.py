"""ROC-AUC, exact: twice the number of (positive, negative) pairs in order, plus the ties, as an integer.

    auc_pairs(positive_scores, negative_scores)          # 2·below + tied, of 2·P·N

Scores are ranked as they come (logits rather than probabilities, which tie where a sigmoid saturates); equal scores
earn half; −0.0 equals 0.0. Two classes: the column `score`. More: `scores`, one class against the rest (the mean over
classes that are true somewhere, or weighted by how often) or one against one (Hand and Till 2001). The interval has
DeLong's variance (1988), as influences of records, so clusters are respected; a handful of positives knows little of
it, so it is moderated with Hanley and McNeil's (1982) for such an AUC, at the weight of two records (as in Smyth 2004).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import inf

import numpy as np
import pyarrow as pa

from raybench.metrics.classification import positive_class
from raybench.metrics.columns import class_targets, matrix_of, numbers_of
from raybench.metrics.confusion import IGNORE_INDEX
from raybench.metrics.metric import REQUIRED, Options, TableMetric
from raybench.metrics.multilabel import truths_of
from raybench.metrics.weighted_ranks import Split, auc, weighing

__all__ = [
    "MULTILABEL_ROC_AUC",
    "ROC_AUC",
    "ROC_AUC_OVO",
    "WEIGHTED_ROC_AUC",
    "Split",
    "auc_pairs",
    "exchanged_auc",
    "ranks_of",
    "splits_of",
]


def auc_pairs(positive: np.ndarray, negative: np.ndarray) -> int:
    """2·(pairs in order) + (tied pairs) of scores without NaN; AUC is that over 2·P·N."""
    positive_is_few = len(positive) <= len(negative)
    few, many = (positive, negative) if positive_is_few else (negative, positive)
    few, many = np.sort(few), np.append(np.sort(many), np.float32(np.nan))  # NaN equals nothing: a guard at the end
    total = 0
    for start in range(0, few.size, 1 << 16):  # sorted queries walk the table in order and stay in the cache
        chunk = few[start : start + (1 << 16)]
        below = np.searchsorted(many, chunk, "left")
        total += 2 * int(below.sum())
        tied = many[below] == chunk
        if tied.any():
            total += int((np.searchsorted(many, chunk[tied], "right") - below[tied]).sum())
    return total if positive_is_few else 2 * positive.size * negative.size - total


def splits_of(records: pa.Table, options: Options, average: str) -> Iterator[Split]:
    """The yes-no questions that an average takes."""
    target, kept = class_targets(records, options["labels"], options["ignore_index"])
    rows, target = np.flatnonzero(kept), target[kept]
    num_classes = len(options["labels"])
    if num_classes == 2:
        sign = 1.0 if positive_class(options) == 1 else -1.0
        yield Split(rows, sign * numbers_of(records, "score")[kept], target == positive_class(options), 1.0)
        return
    scores_NC = matrix_of(records, "scores", num_classes)[kept]
    present = [c for c in range(num_classes) if (target == c).any()]
    if average == "ovo":
        for a, b in combinations(present, 2):
            among = (target == a) | (target == b)
            for one in (a, b):
                yield Split(rows[among], scores_NC[among, one], target[among] == one, 1.0)
        return
    for c in present:
        weight = float((target == c).sum()) if average == "weighted" else 1.0
        yield Split(rows, scores_NC[:, c], target == c, weight)


def columns_of(options: Options) -> tuple[str, ...]:
    return ("target", "score") if len(options["labels"]) == 2 else ("target", "scores")


def check_positive(options: Options) -> None:
    """MetricError unless `positive`, which says something of two classes alone, is one of them."""
    if len(options["labels"]) == 2:
        positive_class(options)


def mean_auc(splits: Iterator[Split]) -> float:
    """The weighted mean of the AUC of each split that has both positives and negatives."""
    total, weights = 0.0, 0.0
    for split in splits:
        if split.is_defined:
            positive, negative = split.scores[split.positive], split.scores[~split.positive]
            pairs = auc_pairs(positive, negative)
            total += split.weight * (pairs / (2 * positive.size * negative.size))
            weights += split.weight
    return total / weights if weights else float("nan")


def auc_influence(splits: Iterator[Split], num_rows: int) -> np.ndarray:
    """The influence of each row on the mean AUC: how its share of pairs differs from the mean."""
    influence_N, weights = np.zeros(num_rows), 0.0
    for rows, scores, is_positive, weight in (split for split in splits if split.is_defined):
        positive, negative = np.sort(scores[is_positive]), np.sort(scores[~is_positive])
        below = np.searchsorted(negative, scores, "left") + np.searchsorted(negative, scores, "right")
        above = (
            2 * positive.size - np.searchsorted(positive, scores, "left") - np.searchsorted(positive, scores, "right")
        )
        share = np.where(is_positive, below / (2 * negative.size), above / (2 * positive.size))
        size = np.where(is_positive, positive.size, negative.size)
        influence_N[rows] += weight * (share - share[is_positive].mean()) / size
        weights += weight
    return influence_N / weights


def exchanged_auc(ours: Iterator[Split], theirs: Iterator[Split], num_rows: int) -> np.ndarray:
    """Each row's share in the difference of two mean AUCs: what it changes its sign by when the models exchange it.

    A pair's order after an exchange of some rows is that of a score of either model for each of the two, so the
    difference is a sum of the rows' shares, each with its sign: an exact permutation test costs what one sum costs. A
    share is known of a class's only row too, whose influence is 0. Scores are compared across models by their ranks
    (Venkatraman and Begg 1996, doi:10.1093/biomet/83.4.835).
    """
    shares_N, weights = np.zeros(num_rows), 0.0
    for split, other in zip(ours, theirs, strict=True):
        if not split.is_defined:
            continue
        positive = split.positive
        a, b = (ranks_of(side.scores) for side in (split, other))
        gained = sum(_below(a, side, positive) - _below(b, side, positive) for side in (a, b)) / 2
        shares = np.where(positive, gained / positive.sum(), -gained / (~positive).sum())
        shares_N[split.rows] += split.weight * shares
        weights += split.weight
    return shares_N / weights


def ranks_of(scores: np.ndarray) -> np.ndarray:
    """Twice the mean rank of each score."""
    ordered = np.sort(scores)
    return np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")


def _below(ranks: np.ndarray, by_model: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """The share of the rows of the other side, as a model ranks them, that are below each row's rank; ties half."""
    share = np.empty(ranks.size)
    for side in (positive, ~positive):
        others = np.sort(by_model[~side])
        below = np.searchsorted(others, ranks[side], "left") + np.searchsorted(others, ranks[side], "right")
        share[side] = below / (2 * others.size)
    return share


def moderated_auc(splits: Iterator[Split], value: float, seen: float) -> float:
    """The variance seen of a mean AUC, joined by Hanley and McNeil's for that value at the weight of two records."""
    variance, weights, fewest = 0.0, 0.0, inf
    for split in (split for split in splits if split.is_defined):
        positives = int(split.positive.sum())
        negatives = split.positive.size - positives
        fewest = min(fewest, positives, negatives)
        auc = min(max(value, 0.5 / fewest), 1 - 0.5 / fewest)
        pairs = ((positives + negatives) / 2 - 1) * ((1 - auc) / (2 - auc) + auc / (1 + auc))
        variance += split.weight**2 * auc * (1 - auc) * (1 + pairs) / (positives * negatives)
        weights += split.weight
    share = 2 / (fewest + 1)
    return (1 - share) * seen + share * variance / weights**2


def _problem(records: pa.Table, options: Options) -> str | None:
    return scores_problem(splits_of(records, options, "macro"))


def scores_problem(splits: Iterator[Split]) -> str | None:
    """Why there is nothing to rank, if so: NaN among the scores, or never two sides."""
    found = list(splits)
    unknown = {int(row) for split in found for row in split.rows[np.isnan(split.scores)]}
    if unknown:
        return f"{len(unknown)} records have a NaN score"
    if not any(split.is_defined for split in found):
        return "only one class among the targets"
    return None


def smaller_side(splits: Iterator[Split]) -> int:
    """The fewest positives or negatives that an AUC among these rests upon."""
    return min(min(int(s.positive.sum()), int((~s.positive).sum())) for s in splits if s.is_defined)


def count_of(records: pa.Table, options: Options) -> int:
    return int(class_targets(records, options["labels"], options["ignore_index"])[1].sum())


def _roc_auc(average: str, source: str) -> TableMetric:
    return TableMetric(
        columns=columns_of,
        measure=lambda records, options: mean_auc(splits_of(records, options, average)),
        influence=lambda records, options: auc_influence(splits_of(records, options, average), records.num_rows),
        moderated=lambda records, options, value, seen: moderated_auc(
            splits_of(records, options, average), value, seen
        ),
        exchanged=lambda a, b, options: exchanged_auc(
            splits_of(a, options, average), splits_of(b, options, average), a.num_rows
        ),
        count=count_of,
        trials=lambda records, options: smaller_side(splits_of(records, options, average)),
        problem=_problem,
        options={"labels": REQUIRED, "positive": None, "ignore_index": IGNORE_INDEX},
        check=check_positive,
        higher_is_better=True,
        undefined="only one class among the targets",
        weighted=weighing(lambda r, o: splits_of(r, o, average), auc, by_support=average == "weighted"),
        source=source,
    )


_SOURCE = "https://scikit-learn.org/stable/modules/model_evaluation.html#roc-metrics"
ROC_AUC = _roc_auc("macro", _SOURCE)
WEIGHTED_ROC_AUC = _roc_auc("weighted", _SOURCE)
ROC_AUC_OVO = _roc_auc("ovo", "Hand and Till 2001, doi:10.1023/A:1010920819831")


def label_splits(records: pa.Table, options: Options) -> Iterator[Split]:
    """One split a label of a multilabel task."""
    num_labels = len(options["labels"])
    targets_NL, scores_NL = truths_of(records, "targets", num_labels), matrix_of(records, "scores", num_labels)
    for label in range(num_labels):
        yield Split(np.arange(records.num_rows), scores_NL[:, label], targets_NL[:, label] == 1, 1.0)


MULTILABEL_ROC_AUC = TableMetric(
    columns=("targets", "scores"),
    measure=lambda records, options: mean_auc(label_splits(records, options)),
    influence=lambda records, options: auc_influence(label_splits(records, options), records.num_rows),
    moderated=lambda records, options, value, seen: moderated_auc(label_splits(records, options), value, seen),
    exchanged=lambda a, b, options: exchanged_auc(label_splits(a, options), label_splits(b, options), a.num_rows),
    trials=lambda records, options: smaller_side(label_splits(records, options)),
    problem=lambda records, options: scores_problem(label_splits(records, options)),
    options={"labels": REQUIRED},
    higher_is_better=True,
    undefined="only one class among the targets",
    weighted=weighing(label_splits, auc),
    source=_SOURCE,
)
