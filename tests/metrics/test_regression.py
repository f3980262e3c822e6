"""Regression and multilabel figures against scikit-learn and exact fractions."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as reference

from raybench.metrics import evaluate

NUMBERS = ["mse", "rmse", "mae", "r2", "pearson"]
LABELS = ["x", "y", "z", "never"]


def numbers(target, prediction) -> pa.Table:
    columns = {"target": np.asarray(target, dtype=np.float64), "prediction": np.asarray(prediction, dtype=np.float64)}
    return pa.table({"id": [f"r{k}" for k in range(len(target))], **columns})


def multilabel(targets, predictions, scores) -> pa.Table:
    return pa.table(
        {
            "id": [f"r{k}" for k in range(len(targets))],
            "targets": pa.array(targets.tolist(), type=pa.list_(pa.int8())),
            "predictions": pa.array(predictions.tolist(), type=pa.list_(pa.int8())),
            "scores": pa.array(scores.tolist(), type=pa.list_(pa.float32())),
        }
    )


def random_multilabel(num_rows=120, seed=0) -> tuple[pa.Table, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.random((num_rows, 4)) < [0.5, 0.2, 0.7, 0.0]
    scores = rng.normal(size=(num_rows, 4)).astype(np.float32) + targets - [0, 0, 0, 9]
    return multilabel(targets.astype(int), (scores >= 0.5).astype(int), scores), targets, scores >= 0.5, scores


def test_regression_conforms(conforms):
    rng = np.random.default_rng(0)
    target = rng.normal(size=60) * 1e3
    conforms(NUMBERS, numbers(target, target + rng.normal(size=60)), {}, examples=4)


def test_multilabel_conforms(conforms):
    names = ["multilabel_macro_f1", "multilabel_micro_f1", "multilabel_weighted_f1", "multilabel_samples_f1"]
    names += ["multilabel_exact_match", "hamming_loss", "multilabel_roc_auc", "multilabel_average_precision"]
    conforms(names, random_multilabel(60)[0], {"labels": LABELS}, examples=3)


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e150])
def test_regression_equals_scikit_learn(scale):
    rng = np.random.default_rng(1)
    target = rng.normal(size=100) + 5
    prediction = target + rng.normal(size=100)
    scores = evaluate(NUMBERS, numbers(target, prediction), {})
    assert scores["mse"].value == pytest.approx(reference.mean_squared_error(target, prediction), rel=1e-14)
    assert scores["rmse"].value == pytest.approx(reference.root_mean_squared_error(target, prediction), rel=1e-14)
    assert scores["mae"].value == pytest.approx(reference.mean_absolute_error(target, prediction), rel=1e-14)
    assert scores["r2"].value == pytest.approx(reference.r2_score(target, prediction), rel=1e-12)
    assert evaluate(["mae"], numbers(target * scale, prediction * scale), {})["mae"].value == pytest.approx(
        scores["mae"].value * scale, rel=1e-12
    )


def test_mean_absolute_error_is_the_true_mean_rounded_once():
    rng = np.random.default_rng(2)
    target, prediction = rng.normal(size=333), rng.normal(size=333) * 1e9
    exact = sum((Fraction(abs(p - t)) for p, t in zip(prediction, target, strict=True)), Fraction(0)) / 333
    assert evaluate(["mae"], numbers(target, prediction), {})["mae"].value == float(exact)


def test_r2_is_the_exact_fraction_also_where_float64_cancels():
    rng = np.random.default_rng(3)
    target = rng.normal(size=200) + 1e9
    prediction = target + rng.normal(size=200) * 0.3
    t, p = ([Fraction(value) for value in column] for column in (target, prediction))
    mean = sum(t) / 200
    exact = 1 - sum((b - a) ** 2 for a, b in zip(t, p, strict=True)) / sum((a - mean) ** 2 for a in t)
    found = evaluate(["r2"], numbers(target, prediction), {})["r2"]
    assert found.value == float(exact)
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.1


def test_multilabel_equals_scikit_learn():
    table, targets, predictions, scores = random_multilabel()
    names = [f"multilabel_{a}_{b}" for a in ("macro", "micro") for b in ("precision", "recall", "f1")]
    names += ["multilabel_weighted_f1", "multilabel_samples_f1"]
    found = evaluate([*names, "multilabel_exact_match", "hamming_loss"], table, {"labels": LABELS})
    for name in names:
        _, average, figure = name.split("_")
        occurs = (targets | predictions).any(axis=0)  # what is no label anywhere is left out of macro means
        kept = (targets[:, occurs], predictions[:, occurs])
        expected = getattr(reference, f"{figure}_score")(*kept, average=average, zero_division=0)
        assert found[name].value == pytest.approx(expected, abs=1e-14), name
    assert found["multilabel_exact_match"].value == reference.accuracy_score(targets, predictions)
    assert found["hamming_loss"].value == pytest.approx(reference.hamming_loss(targets, predictions))
    ranked = evaluate(["multilabel_roc_auc", "multilabel_average_precision"], table, {"labels": LABELS})
    assert ranked["multilabel_roc_auc"].value == pytest.approx(reference.roc_auc_score(targets[:, :3], scores[:, :3]))
    expected = reference.average_precision_score(targets[:, :3], scores[:, :3])
    assert ranked["multilabel_average_precision"].value == pytest.approx(expected)


@pytest.mark.parametrize("name", ["r2", "pearson", "mse", "rmse", "mae"])
@pytest.mark.parametrize("place", ["target", "prediction"])
def test_infinite_numbers_give_a_limit_or_a_reason_and_no_warning(name, place):
    for infinite in (np.inf, -np.inf):
        columns = {"target": [0.5, 1.0, 2.0], "prediction": [0.5, 1.5, 2.5], place: [0.5, infinite, 1.0]}
        score = evaluate(name, columns)
        assert score.value is None or np.isinf(score.value)
        assert (score.reason is None) == (score.value is not None)
        assert score.low is None


def test_numbers_whose_squares_are_beyond_float64_have_a_mean_and_no_interval():
    for name, column in (("mae", "prediction"), ("log_loss", "nll")):
        score = evaluate(name, {"target": [0, 0, 0], column: [0.0, 1e200, 0.5]})
        assert score.value == pytest.approx(1e200 / 3)
        assert (score.low, score.high) == (None, None)


def test_equal_numbers_too_small_for_their_squares_are_still_equal():
    for tiny in (1e-320, 1e-200, 1e-160):
        assert evaluate("r2", target=[tiny] * 5, prediction=[1.0] * 5).value is None
        assert evaluate("pearson", target=[tiny] * 5, prediction=[1.0, 2, 3, 4, 5]).value is None
