"""Multilabel: precision, recall and F1 (macro, micro, weighted, by example), exact match, Hamming loss.

A label that is neither a target nor a prediction anywhere is left out of macro means, as a class is in
classification.py. `predictions` are made where a score is at least the threshold (`>=`; records.multilabel_records).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from raybench.metrics.classification import mean_over
from raybench.metrics.columns import matrix_of, refuse
from raybench.metrics.mean import mean, mean_measure
from raybench.metrics.metric import REQUIRED, Contribution, Measure, Metric, Options, ratio
from raybench.metrics.state import Sums

__all__ = [
    "EXACT_MATCH_RATIO",
    "HAMMING_LOSS",
    "MACRO_F1",
    "MACRO_PRECISION",
    "MACRO_RECALL",
    "MICRO_F1",
    "MICRO_PRECISION",
    "MICRO_RECALL",
    "SAMPLES_F1",
    "WEIGHTED_F1",
    "truths_of",
]

_SOURCE = "https://scikit-learn.org/stable/modules/model_evaluation.html#multiclass-and-multilabel-classification"
_COLUMNS = ("targets", "predictions")


def _sets(records: pa.Table, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions as truth values, [N, L]."""
    targets_NL, predictions_NL = (truths_of(records, column, len(options["labels"])) for column in _COLUMNS)
    return targets_NL, predictions_NL


def truths_of(records: pa.Table, column: str, num_labels: int) -> np.ndarray:
    """A list column of 0 and 1 as truth values, [N, L]."""
    matrix_NL = matrix_of(records, column, num_labels)
    wrong_NL = (matrix_NL != 0) & (matrix_NL != 1)
    if wrong_NL.any():
        row, label = (int(places[0]) for places in np.nonzero(wrong_NL))
        refuse(records, column, row, matrix_NL[row, label], "0 or 1 for each label")
    return np.asarray(matrix_NL == 1)


def _contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
    true_NL, predicted_NL = _sets(records, options)
    return {
        "n": np.ones(records.num_rows, dtype=np.int64),
        "tp": (true_NL & predicted_NL).astype(np.int64),
        "true": true_NL.astype(np.int64),
        "predicted": predicted_NL.astype(np.int64),
        "exact": (true_NL == predicted_NL).all(axis=1).astype(np.int64),
        "wrong": (true_NL != predicted_NL).sum(axis=1),
    }


def _samples_f1(records: pa.Table, options: Options) -> np.ndarray:
    true_NL, predicted_NL = _sets(records, options)
    hits, sizes = (true_NL & predicted_NL).sum(axis=1), true_NL.sum(axis=1) + predicted_NL.sum(axis=1)
    return np.where(sizes == 0, 0.0, 2 * hits / np.maximum(sizes, 1))


Parts = Callable[[Sums], tuple[np.ndarray, np.ndarray]]


def _precision(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    return sums["tp"], sums["predicted"]


def _recall(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    return sums["tp"], sums["true"]


def _f1(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    return 2 * sums["tp"], sums["predicted"] + sums["true"]


MULTILABEL = Measure(
    name="multilabel", weights=True, columns=_COLUMNS, options={"labels": REQUIRED}, contributions=_contributions
)


def _averaged(parts: Parts, average: str) -> Metric:
    def value(sums: Sums, options: Options) -> np.ndarray:
        numerator_RL, denominator_RL = parts(sums)
        if average == "micro":
            return ratio(numerator_RL.sum(axis=1), denominator_RL.sum(axis=1))
        occurs_RL = (sums["true"] + sums["predicted"] > 0).astype(np.float64)
        return mean_over(ratio(numerator_RL, denominator_RL), sums["true"] if average == "weighted" else occurs_RL)

    def per_label(sums: Sums, options: Options) -> tuple[np.ndarray, np.ndarray]:
        return ratio(*parts(sums)), sums["true"]

    return Metric(
        measure=MULTILABEL,
        value=value,
        per_class=per_label,
        macro=average == "macro",
        higher_is_better=True,
        source=_SOURCE,
        undefined="no label is a target or a prediction",
        undefined_class="the label is no target, or never predicted: the ratio is 0/0",
    )


MACRO_PRECISION, MICRO_PRECISION = _averaged(_precision, "macro"), _averaged(_precision, "micro")
MACRO_RECALL, MICRO_RECALL = _averaged(_recall, "macro"), _averaged(_recall, "micro")
MACRO_F1, MICRO_F1, WEIGHTED_F1 = _averaged(_f1, "macro"), _averaged(_f1, "micro"), _averaged(_f1, "weighted")
SAMPLES_F1 = Metric(
    measure=mean_measure("samples f1", _COLUMNS, _samples_f1, {"labels": REQUIRED}),
    value=mean,
    interval="mean",
    higher_is_better=True,
    source=_SOURCE,
)
EXACT_MATCH_RATIO = Metric(
    measure=MULTILABEL,
    value=lambda sums, options: ratio(sums["exact"], sums["n"]),
    proportion=lambda sums, options: (sums["exact"], sums["n"]),
    trial_each=True,
    interval="wilson",
    higher_is_better=True,
    source=_SOURCE,
)
HAMMING_LOSS = Metric(
    measure=MULTILABEL,
    value=lambda sums, options: ratio(sums["wrong"], sums["n"] * len(options["labels"])),
    higher_is_better=False,
    source=_SOURCE,
)
