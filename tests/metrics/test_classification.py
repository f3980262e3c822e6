"""The confusion family, top-k, likelihood and calibration against scikit-learn and direct formulas."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit
from sklearn import metrics as reference

from raybench.core.errors import MergeError, MetricError
from raybench.metrics import METRICS, MetricSet, evaluate

LABELS = ["a", "b", "c", "d"]
AVERAGED = [f"{average}_{name}" for average in ("macro", "micro", "weighted") for name in ("precision", "recall", "f1")]
FAMILY = [
    "accuracy",
    "balanced_accuracy",
    *AVERAGED,
    "macro_specificity",
    "mcc",
    "cohen_kappa",
    "top_k_accuracy",
    "top_2_accuracy",
    "log_loss",
    "brier",
    "ece",
    "mce",
]


def labelled(target, prediction) -> pa.Table:
    return pa.table(
        {
            "id": [f"r{row}" for row in range(len(target))],
            "target": pa.array(target, type=pa.int32()),
            "prediction": pa.array(prediction, type=pa.int32()),
        }
    )


def test_family_conforms(conforms, classified):
    conforms(FAMILY, classified(120, 4), {"labels": LABELS, "bins": 10})


def test_family_conforms_on_clustered_records(conforms, classified):
    table = classified(90, 4).append_column("group", pa.array([f"g{row % 11}" for row in range(90)]))
    conforms(FAMILY, table, {"labels": LABELS, "group": "group"}, examples=2)


@pytest.mark.parametrize("seed", range(8))
def test_equals_scikit_learn_on_random_labels(seed):
    rng = np.random.default_rng(seed)
    num_rows = int(rng.integers(1, 200))
    target, prediction = rng.integers(0, 4, num_rows), rng.integers(0, 4, num_rows)
    if seed % 2:
        target = np.minimum(target, 1)  # classes that are predicted but never true
    names = ["accuracy", "balanced_accuracy", "mcc", "cohen_kappa", *AVERAGED]
    scores = evaluate(names, labelled(target, prediction), {"labels": LABELS})
    assert scores["accuracy"].value == reference.accuracy_score(target, prediction)
    for name in AVERAGED:
        average, figure = name.split("_")
        expected = getattr(reference, f"{figure}_score")(target, prediction, average=average, zero_division=0)
        assert scores[name].value == pytest.approx(expected, abs=1e-15), name
    assert scores["mcc"].value == pytest.approx(reference.matthews_corrcoef(target, prediction), abs=1e-14)
    assert scores["cohen_kappa"].value == pytest.approx(reference.cohen_kappa_score(target, prediction), abs=1e-14)
    recalls = reference.recall_score(target, prediction, average=None, labels=np.unique(target), zero_division=0)
    assert scores["balanced_accuracy"].value == pytest.approx(recalls.mean(), abs=1e-15)


def test_binary_figures_equal_scikit_learn():
    rng = np.random.default_rng(1)
    target, prediction = rng.integers(0, 2, 100), rng.integers(0, 2, 100)
    table = labelled(target, prediction)
    for positive, place in (("yes", 1), ("no", 0), (None, 1)):
        scores = evaluate(
            ["precision", "recall", "f1", "specificity"], table, {"labels": ["no", "yes"], "positive": positive}
        )
        for name in ("precision", "recall", "f1"):
            expected = getattr(reference, f"{name}_score")(target, prediction, pos_label=place)
            assert scores[name].value == pytest.approx(expected, abs=1e-15)
        expected = reference.recall_score(target, prediction, pos_label=1 - place)
        assert scores["specificity"].value == pytest.approx(expected, abs=1e-15)


def test_positive_that_is_no_label_is_named():
    with pytest.raises(MetricError, match=r"'maybe'.*no, yes"):
        evaluate(["f1"], labelled([0, 1], [0, 1]), {"labels": ["no", "yes"], "positive": "maybe"})


def test_likelihood_and_top_k_equal_scikit_learn(classified):
    table = classified(300, 4)
    target = table["target"].to_numpy()
    probability = expit(np.stack(table["scores"].to_pylist()).astype(np.float64))
    probability /= probability.sum(axis=1, keepdims=True)
    scores = evaluate(["log_loss", "brier", "top_2_accuracy"], table, {"labels": LABELS})
    assert scores["log_loss"].value == pytest.approx(reference.log_loss(target, probability), rel=1e-6)
    expected = ((probability - np.eye(4)[target]) ** 2).sum(axis=1).mean()
    assert scores["brier"].value == pytest.approx(expected, rel=1e-6)
    assert scores["top_2_accuracy"].value == reference.top_k_accuracy_score(target, probability, k=2)


def test_log_loss_is_the_true_mean_rounded_once(classified):
    table = classified(257, 4)
    exact = sum(map(Fraction, table["nll"].to_pylist())) / 257
    assert evaluate(["log_loss"], table, {"labels": LABELS})["log_loss"].value == float(exact)


def test_ece_equals_the_direct_formula(classified):
    table = classified(300, 4)
    confidence = table["confidence"].to_numpy().astype(np.float64)
    right = table["target"].to_numpy() == table["prediction"].to_numpy()
    bins = np.ceil(confidence * 15).clip(1, 15)
    gaps = [abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    scores = evaluate(["ece", "mce"], table, {"labels": LABELS})
    assert scores["ece"].value == pytest.approx(sum(gaps), abs=1e-12)
    worst = max(abs(right[bins == b].mean() - confidence[bins == b].mean()) for b in np.unique(bins))
    assert scores["mce"].value == pytest.approx(worst, abs=1e-12)
    assert len(scores["ece"].per_class) == 15


def test_per_class_values_have_intervals_and_their_own_counts():
    scores = evaluate(["macro_f1"], labelled([0, 0, 1, 1, 1], [0, 1, 1, 1, 0]), {"labels": ["x", "y", "z"]})
    classes = scores["macro_f1"].per_class
    assert [classes[name].n for name in "xyz"] == [2, 3, 0]
    assert classes["y"].value == pytest.approx(2 / 3)
    assert classes["z"].value is None
    assert "neither" in classes["z"].reason


def test_unknown_name_gets_a_suggestion():
    with pytest.raises(MetricError, match=r"unknown metric 'acuracy'; did you mean 'accuracy'\?"):
        MetricSet(["acuracy"], {"labels": LABELS})


def test_missing_column_and_missing_option_are_named(classified):
    with pytest.raises(MetricError, match="lack column 'nll', needed by 'log_loss'"):
        evaluate(["log_loss"], classified(5, 4).drop_columns(["nll"]), {"labels": LABELS})
    with pytest.raises(MetricError, match="'accuracy' needs 'labels'"):
        MetricSet(["accuracy"], {})


def test_states_of_other_options_do_not_merge(classified):
    table = classified(20, 4)
    ten, fifteen = (MetricSet(["ece"], {"labels": LABELS, "bins": bins}).states(table) for bins in (10, 15))
    with pytest.raises(MergeError, match="measured differently"):
        ten.merge(fifteen)


def test_options_that_a_measure_does_not_read_do_not_hinder_merging(classified):
    table = classified(20, 4)
    one = MetricSet(["accuracy"], {"labels": LABELS, "bins": 10}).states(table.slice(0, 9))
    two = MetricSet(["accuracy"], {"labels": LABELS, "bins": 15}).states(table.slice(9))
    assert one.merge(two).coverage.n == 20


def test_every_catalog_entry_declares_itself():
    from raybench.metrics import describe

    for info in describe():
        assert info.name in METRICS
        assert info.source
        assert info.unit
        assert info.range[0] < info.range[1]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int32(), pa.int64()])
def test_the_fast_count_equals_the_sum_of_contributions(kind):
    from raybench.metrics.confusion import CONFUSION, ConfusionCounter
    from raybench.metrics.metric import totals_of

    rng = np.random.default_rng(0)
    target, prediction = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    table = pa.table({"target": pa.array(target, kind), "prediction": pa.array(prediction, kind)})
    options = {"labels": LABELS, "ignore_index": -100}
    state = CONFUSION.state(table, options)
    assert state.fields == totals_of(CONFUSION.contributions(table, options))
    counter = ConfusionCounter(4)
    for start in range(0, 500, 32):
        counter.update(target[start : start + 32], prediction[start : start + 32])
    assert counter.state(options) == state
    counter.update(np.array([1]), np.array([-7]))
    assert counter.state(options).fields["invalid"].values.tolist() == [1]
