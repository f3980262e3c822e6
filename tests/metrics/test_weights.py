"""Sample weights: the values of scikit-learn, exact under any sharding; twice is 2, absent is 0."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sklearn

from raybench import metrics
from raybench.core.errors import MergeError, MetricError
from raybench.metrics import MetricSet

RNG = np.random.default_rng(0)
ROWS = 60
TARGET = RNG.integers(0, 3, ROWS)
PREDICTION = np.where(RNG.random(ROWS) < 0.6, TARGET, RNG.integers(0, 3, ROWS))
WEIGHT = RNG.random(ROWS)
PROBABILITIES = RNG.dirichlet([1, 1, 1], ROWS)
LABELLED, PREDICTED = RNG.integers(0, 2, (2, ROWS, 3))
NUMBERS = RNG.normal(size=(2, ROWS))


def averaged(function, average):
    return lambda *pair, **weights: function(*pair, average=average, **weights)


OF_CLASSES = {
    "accuracy": sklearn.accuracy_score,
    "balanced_accuracy": sklearn.balanced_accuracy_score,
    "mcc": sklearn.matthews_corrcoef,
    "cohen_kappa": sklearn.cohen_kappa_score,
    **{
        f"{average}_{name}": averaged(getattr(sklearn, f"{name}_score"), average)
        for average in ("macro", "weighted", "micro")
        for name in ("precision", "recall", "f1")
    },
}
OF_NUMBERS = {
    "mse": sklearn.mean_squared_error,
    "rmse": sklearn.root_mean_squared_error,
    "mae": sklearn.mean_absolute_error,
    "r2": sklearn.r2_score,
}


@pytest.mark.parametrize("name", [*OF_CLASSES, *OF_NUMBERS])
def test_weighted_values_are_those_of_scikit_learn(name):
    pair = NUMBERS if name in OF_NUMBERS else (TARGET, PREDICTION)
    score = metrics.evaluate(name, target=pair[0], prediction=pair[1], weight=WEIGHT)
    expected = {**OF_CLASSES, **OF_NUMBERS}[name](*pair, sample_weight=WEIGHT)
    assert score.value == pytest.approx(expected, rel=1e-12)
    assert score.n == ROWS
    assert score.low < score.value < score.high


def test_weighted_metrics_of_probabilities_and_labels_are_those_of_scikit_learn():
    found = metrics.evaluate(["log_loss", "brier"], target=TARGET, probabilities=PROBABILITIES, weight=WEIGHT)
    expected = sklearn.log_loss(TARGET, PROBABILITIES, sample_weight=WEIGHT)
    assert found["log_loss"].value == pytest.approx(expected, rel=1e-12)
    squares = ((PROBABILITIES - np.eye(3)[TARGET]) ** 2).sum(axis=1)
    assert found["brier"].value == pytest.approx(np.average(squares, weights=WEIGHT), rel=1e-12)
    macro = metrics.evaluate("multilabel_macro_f1", targets=LABELLED, predictions=PREDICTED, weight=WEIGHT)
    expected = sklearn.f1_score(LABELLED, PREDICTED, average="macro", sample_weight=WEIGHT)
    assert macro.value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_weighted_ranks_are_those_of_scikit_learn(scale):
    times = RNG.integers(0, 4, ROWS) * scale
    scores = np.round(PROBABILITIES, 1)  # with ties
    names = ["roc_auc", "weighted_roc_auc", "average_precision", "weighted_average_precision"]
    found = metrics.evaluate(names, target=TARGET, scores=scores, weight=times)
    onehot = np.eye(3)[TARGET]
    for name, score in found.items():
        function = sklearn.roc_auc_score if "roc" in name else sklearn.average_precision_score
        average = "weighted" if name.startswith("weighted") else "macro"
        expected = function(onehot, scores, sample_weight=times, average=average)
        assert score.value == pytest.approx(expected, rel=1e-12), name
        assert score.low < score.value < score.high
        assert score.n == np.count_nonzero(times)
    two = metrics.evaluate("roc_auc", target=TARGET > 0, score=scores[:, 0], weight=times)
    expected = sklearn.roc_auc_score(TARGET > 0, scores[:, 0], sample_weight=times)
    assert two.value == pytest.approx(expected, rel=1e-12)
    labels = metrics.evaluate("multilabel_roc_auc", targets=LABELLED, scores=scores, weight=times)
    expected = sklearn.roc_auc_score(LABELLED, scores, sample_weight=times)
    assert labels.value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["roc_auc", "roc_auc_ovo", "average_precision"])
def test_equal_weights_change_neither_rank_metrics_nor_their_influences(name):
    plain = MetricSet([name], {"labels": ["a", "b", "c"]}).metric(name)
    weighed = MetricSet([name], {"labels": ["a", "b", "c"], "weight": "weight"}).metric(name)
    scores = pa.array(list(PROBABILITIES), pa.list_(pa.float64()))
    ids = [f"r{k:02d}" for k in range(ROWS)]
    table = pa.table({"id": ids, "target": TARGET, "scores": scores, "weight": np.full(ROWS, 0.25)})
    for part in ("measure", "influence"):
        ours, theirs = (getattr(metric, part)(table, options) for metric, options in (weighed, plain))
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["macro_f1", "mcc", "r2", "mae", "top_2_accuracy", "log_loss"])
def test_a_weight_of_two_is_the_record_twice_and_none_is_no_record(name):
    columns = {"target": TARGET, "prediction": PREDICTION, "rank": np.minimum(TARGET, 2), "nll": np.abs(NUMBERS[0])}
    times = RNG.integers(0, 3, ROWS)
    columns = {column: columns[column] for column in metrics.describe(name).columns}
    weighted = metrics.evaluate(name, columns, weight=times)
    repeated = metrics.evaluate(name, {column: np.repeat(values, times) for column, values in columns.items()})
    assert weighted.value == repeated.value
    assert weighted.n == np.count_nonzero(times)
    alike = metrics.evaluate(name, columns, weight=np.full(ROWS, 0.1))
    assert alike.value == pytest.approx(metrics.evaluate(name, columns).value, rel=1e-15)


def test_a_record_without_weight_adds_nothing_whatever_it_holds():
    weight = [1.0, 1.0, 0.0]
    assert metrics.evaluate("mae", target=[1.0, 2.0, np.nan], prediction=[1.0, 3.0, 0.0], weight=weight).value == 0.5
    found = metrics.evaluate("macro_f1", target=[0, 1, 2], prediction=[0, 1, 2], weight=weight)
    assert found.per_class["2"].value is None
    nothing = metrics.evaluate("accuracy", target=[0, 1], prediction=[0, 1], weight=[0.0, 0.0])
    assert (nothing.value, nothing.n, nothing.reason) == (None, 0, "no examples")


def test_weighted_states_keep_every_law(conforms):
    labels = {"labels": ["a", "b", "c"], "weight": "weight"}
    columns = {"target": TARGET, "prediction": PREDICTION, "weight": WEIGHT * 10.0 ** RNG.integers(-9, 9, ROWS)}
    table = pa.table({"id": [f"r{k:02d}" for k in range(ROWS)], **columns})
    conforms(["macro_f1", "accuracy", "mcc"], table, labels, examples=3)
    numbers = pa.table({"id": table["id"], "target": NUMBERS[0], "prediction": NUMBERS[1], "weight": WEIGHT})
    conforms(["mse", "r2", "mae"], numbers, {"weight": "weight"}, examples=3)


def test_weighted_states_do_not_merge_with_others():
    columns = {"target": [0, 1], "prediction": [0, 1], "weight": [1.0, 1.0], "other": [1.0, 1.0]}
    table = pa.table({"id": ["a", "b"], **columns})
    states = [
        MetricSet(["accuracy"], {"labels": ["x", "y"], "weight": weight}).states(table.slice(row, 1))
        for row, weight in enumerate((None, "weight"))
    ]
    with pytest.raises(MergeError, match="measured differently"):
        states[0].merge(states[1])


def test_weights_travel_with_batches():
    running = metrics.state("macro_f1")
    for rows in (slice(0, 40), slice(40, 60)):
        running.update(target=TARGET[rows], prediction=PREDICTION[rows], weight=WEIGHT[rows])
    assert running.compute() == metrics.evaluate("macro_f1", target=TARGET, prediction=PREDICTION, weight=WEIGHT)


@pytest.mark.parametrize("name", ["bleu", "wer", "ece", "fid", "coco_ap", "mean_iou", "spearman", "perplexity"])
def test_a_metric_without_a_meaning_for_weights_says_so(name):
    assert not metrics.describe(name).weights
    with pytest.raises(MetricError, match=f"metric '{name}' takes no weights; leave column 'weight' out"):
        MetricSet([name], {"labels": ["a"], "weight": "weight"})


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        ([1.0, -1.0], "'weight' has -1 in row 1"),
        ([1.0, np.nan], "'weight' has nan in row 1"),
        ([1.0, np.inf], "'weight' has inf in row 1"),
        (["1", "2"], "'weight' holds strings"),
        ([1.0, None], "'weight' has 1 nulls, the first in row 1"),
        ([1.0], "'weight' has 1 rows"),
    ],
)
def test_a_weight_is_a_finite_number_from_nought(weight, expected):
    with pytest.raises(MetricError, match=expected):
        metrics.evaluate("accuracy", target=[0, 1], prediction=[0, 1], weight=weight)
