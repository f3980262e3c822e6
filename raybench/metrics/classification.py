"""Accuracy, precision, recall, F1, specificity, MCC and kappa from confusion counts.

Which classes a macro mean takes: those that occur, as a target or as a prediction (scikit-learn's rule). A class that
is predicted but never true has F1 0 and counts; a class that occurs nowhere is left out and has no value of its own.
Within the mean a ratio 0/0 of a class that occurs is 0: never to predict a class must not lift the mean precision.
Balanced accuracy takes the classes that are true somewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from raybench.core.errors import MetricError
from raybench.metrics.confusion import CONFUSION, Marginals, marginals
from raybench.metrics.metric import Metric, Options, ratio, to_float
from raybench.metrics.state import Sums

_SOURCE = "https://scikit-learn.org/stable/modules/model_evaluation.html#classification-metrics"
_ABSENT = "the class is neither a target nor a prediction, or the ratio is 0/0"


def _marginals(sums: Sums, options: Options) -> Marginals:
    return marginals(sums, len(options["labels"]))


def _precision(m: Marginals) -> np.ndarray:
    return ratio(m.tp_RC, m.predicted_RC)


def _recall(m: Marginals) -> np.ndarray:
    return ratio(m.tp_RC, m.true_RC)


def _f1(m: Marginals) -> np.ndarray:
    return ratio(2 * m.tp_RC, m.predicted_RC + m.true_RC)


def _specificity(m: Marginals) -> np.ndarray:
    negatives = m.total_R[:, None] - m.true_RC
    return ratio(negatives - m.predicted_RC + m.tp_RC, negatives)


Formula = Callable[[Marginals], np.ndarray]


def mean_over(values_RC: np.ndarray, weights_RC: np.ndarray) -> np.ndarray:
    """The mean of defined and undefined (0) values over classes with a positive weight; NaN without any."""
    weights_RC = to_float(weights_RC)
    if not (np.isfinite(values_RC).all() and (weights_RC > 0).all()):
        values_RC = np.where(weights_RC > 0, np.nan_to_num(values_RC), 0.0)
    total = (values_RC * weights_RC).sum(axis=1)
    return ratio(total, weights_RC.sum(axis=1))


def _macro(formula: Formula) -> Callable[[Sums, Options], np.ndarray]:
    def value(sums: Sums, options: Options) -> np.ndarray:
        m = _marginals(sums, options)
        return mean_over(formula(m), (m.true_RC + m.predicted_RC > 0).astype(np.float64))

    return value


def _weighted(formula: Formula) -> Callable[[Sums, Options], np.ndarray]:
    def value(sums: Sums, options: Options) -> np.ndarray:
        m = _marginals(sums, options)
        return mean_over(formula(m), m.true_RC)

    return value


def _of_positive(formula: Formula) -> Callable[[Sums, Options], np.ndarray]:
    def value(sums: Sums, options: Options) -> np.ndarray:
        return formula(_marginals(sums, options))[:, positive_class(options)]

    return value


def _per_class(formula: Formula) -> Callable[[Sums, Options], tuple[np.ndarray, np.ndarray]]:
    def values(sums: Sums, options: Options) -> tuple[np.ndarray, np.ndarray]:
        m = _marginals(sums, options)
        occurs = m.true_RC + m.predicted_RC > 0
        return np.where(occurs, formula(m), np.nan), m.true_RC

    return values


def positive_class(options: Options) -> int:
    """The place of the class that `positive` names; of two classes the second, if nothing is said."""
    labels, positive = list(options["labels"]), options["positive"]
    if positive is None and len(labels) == 2:
        return 1
    if positive in labels:
        return labels.index(positive)
    raise MetricError(f"'positive' is {positive!r}; expected one of {', '.join(map(str, labels))}")


def _micro_parts(sums: Sums, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Right predictions and examples; with one prediction an example, micro precision, recall and F1 are accuracy."""
    m = _marginals(sums, options)
    return m.tp_RC.sum(axis=1), m.total_R


def _accuracy(sums: Sums, options: Options) -> np.ndarray:
    return ratio(*_micro_parts(sums, options))


def _micro_precision_parts(sums: Sums, options: Options) -> tuple[np.ndarray, np.ndarray]:
    m = _marginals(sums, options)
    return m.tp_RC.sum(axis=1), m.predicted_RC.sum(axis=1)


def _micro_f1_parts(sums: Sums, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Right predictions, and the mean of predictions and targets: all examples, where every prediction is a class."""
    m = _marginals(sums, options)
    return m.tp_RC.sum(axis=1), m.total_R - (m.total_R - m.predicted_RC.sum(axis=1)) / 2


def _micro_f1(sums: Sums, options: Options) -> np.ndarray:
    m = _marginals(sums, options)
    return ratio(2 * m.tp_RC.sum(axis=1), m.predicted_RC.sum(axis=1) + m.total_R)


def _positive_parts(which: str) -> Callable[[Sums, Options], tuple[np.ndarray, np.ndarray]]:
    def parts(sums: Sums, options: Options) -> tuple[np.ndarray, np.ndarray]:
        m, c = _marginals(sums, options), positive_class(options)
        tp, predicted, true, total = m.tp_RC[:, c], m.predicted_RC[:, c], m.true_RC[:, c], m.total_R
        if which == "specificity":
            return total - true - predicted + tp, total - true
        return tp, predicted if which == "precision" else true

    return parts


def _balanced_accuracy(sums: Sums, options: Options) -> np.ndarray:
    m = _marginals(sums, options)
    return mean_over(_recall(m), (m.true_RC > 0).astype(np.float64))


def _mcc(sums: Sums, options: Options) -> np.ndarray:
    """Gorodkin's R_K (2004); products of counts stay Python integers, which do not overflow at 4·10⁹ examples."""
    m = _marginals(sums, options)
    right, total = m.tp_RC.sum(axis=1), m.total_R
    covariance = right * total - (m.predicted_RC * m.true_RC).sum(axis=1)
    # an invalid prediction is a class of its own, so its count is a marginal too
    invalid = total - m.predicted_RC.sum(axis=1)
    spread_predicted = total * total - (m.predicted_RC * m.predicted_RC).sum(axis=1) - invalid * invalid
    spread_true = total * total - (m.true_RC * m.true_RC).sum(axis=1)
    # squared, the fraction is exact until one division and one root; a perfect matrix is 1 and not its neighbour
    square = ratio(covariance * covariance, spread_predicted * spread_true)
    return np.copysign(np.sqrt(square), to_float(covariance))


def _kappa(sums: Sums, options: Options) -> np.ndarray:
    m = _marginals(sums, options)
    right, total = m.tp_RC.sum(axis=1), m.total_R
    by_chance = (m.predicted_RC * m.true_RC).sum(axis=1)
    return ratio(right * total - by_chance, total * total - by_chance)


def _averaged(formula: Formula, average: Callable[[Formula], Callable[[Sums, Options], np.ndarray]]) -> Metric:
    return Metric(
        measure=CONFUSION,
        value=average(formula),
        per_class=_per_class(formula),
        macro=average is _macro,
        interval="cells",
        higher_is_better=True,
        source=_SOURCE,
        undefined_class=_ABSENT,
    )


def _binary(formula: Formula, which: str, undefined: str) -> Metric:
    return Metric(
        measure=CONFUSION,
        value=_of_positive(formula),
        proportion=_positive_parts(which),
        interval="cells" if which == "f1" else "wilson",
        options={"positive": None},
        check=positive_class,
        higher_is_better=True,
        source=_SOURCE,
        undefined=undefined,
    )


ACCURACY = Metric(
    measure=CONFUSION,
    value=_accuracy,
    proportion=_micro_parts,
    trial_each=True,
    interval="wilson",
    higher_is_better=True,
    source=_SOURCE,
)
MICRO_RECALL = ACCURACY
MICRO_PRECISION = Metric(
    measure=CONFUSION,
    value=lambda sums, options: ratio(*_micro_precision_parts(sums, options)),
    proportion=_micro_precision_parts,
    interval="wilson",
    higher_is_better=True,
    source=_SOURCE,
    undefined="no prediction is a class",
)
MICRO_F1 = Metric(
    measure=CONFUSION,
    value=_micro_f1,
    proportion=_micro_f1_parts,
    interval="wilson",
    higher_is_better=True,
    source=_SOURCE,
)
MACRO_PRECISION, WEIGHTED_PRECISION = _averaged(_precision, _macro), _averaged(_precision, _weighted)
MACRO_RECALL, WEIGHTED_RECALL = _averaged(_recall, _macro), _averaged(_recall, _weighted)
MACRO_F1, WEIGHTED_F1 = _averaged(_f1, _macro), _averaged(_f1, _weighted)
MACRO_SPECIFICITY, WEIGHTED_SPECIFICITY = _averaged(_specificity, _macro), _averaged(_specificity, _weighted)
PRECISION = _binary(_precision, "precision", "the positive class is never predicted")
RECALL = _binary(_recall, "recall", "the positive class is no target")
F1 = _binary(_f1, "f1", "the positive class is neither a target nor a prediction")
SPECIFICITY = _binary(_specificity, "specificity", "every target is the positive class")
BALANCED_ACCURACY = Metric(
    measure=CONFUSION,
    value=_balanced_accuracy,
    per_class=_per_class(_recall),
    macro=True,
    interval="cells",
    higher_is_better=True,
    source=_SOURCE,
    undefined_class="the class is no target",
)
MCC = Metric(
    measure=CONFUSION,
    value=_mcc,
    interval="cells",
    higher_is_better=True,
    unit="correlation",
    range=(-1.0, 1.0),
    source="Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006",
    undefined="all targets, or all predictions, are one class",
)
COHEN_KAPPA = Metric(
    measure=CONFUSION,
    value=_kappa,
    interval="cells",
    higher_is_better=True,
    unit="agreement beyond chance",
    range=(-1.0, 1.0),
    source="Cohen 1960, doi:10.1177/001316446002000104",
    undefined="targets and predictions are all one class: chance alone agrees",
)
