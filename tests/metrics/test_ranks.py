"""ROC-AUC, average precision and rank correlations: exact, with ties, against scikit-learn, scipy and pair counts."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit
from sklearn import metrics as reference

from raybench.metrics import evaluate
from raybench.metrics.average_precision import average_precision
from raybench.metrics.roc import auc_pairs

RANKED = ["roc_auc", "weighted_roc_auc", "roc_auc_ovo", "average_precision", "weighted_average_precision"]


def binary(target, score) -> pa.Table:
    return pa.table(
        {
            "id": [f"r{k}" for k in range(len(target))],
            "target": np.asarray(target, dtype=np.int32),
            "score": np.asarray(score, dtype=np.float32),
        }
    )


def test_many_classes_conform(conforms, classified):
    conforms(RANKED, classified(80, 3), {"labels": ["a", "b", "c"]}, examples=3)


def test_two_classes_conform(conforms, classified):
    conforms(RANKED, classified(60, 2), {"labels": ["no", "yes"]}, examples=3)


def test_correlations_conform(conforms):
    rng = np.random.default_rng(0)
    target = rng.normal(size=70)
    table = pa.table(
        {"id": [f"r{k}" for k in range(70)], "target": target, "prediction": np.round(target + rng.normal(size=70), 1)}
    )
    conforms(["spearman", "kendall"], table, {}, examples=3)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_auc_pairs_are_counted_exactly(positive, negative):
    expected = sum(2 * (p > n) + (p == n) for p in positive for n in negative)
    assert auc_pairs(np.array(positive, dtype=np.float32), np.array(negative, dtype=np.float32)) == expected


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_binary_equals_scikit_learn_to_the_bit_or_nearly(decimals):
    rng = np.random.default_rng(decimals)
    target = rng.integers(0, 2, 500)
    score = np.round(rng.normal(size=500) + target, decimals).astype(np.float32)
    scores = evaluate(["roc_auc", "average_precision"], binary(target, score), {"labels": [0, 1]})
    assert scores["roc_auc"].value == pytest.approx(reference.roc_auc_score(target, score), abs=1e-14)
    pairs = sum(2 * (p > score[target == 0]).sum() + (p == score[target == 0]).sum() for p in score[target == 1])
    assert scores["roc_auc"].value == float(Fraction(int(pairs), int(2 * target.sum() * (1 - target).sum())))
    expected = reference.average_precision_score(target, score)
    assert scores["average_precision"].value == pytest.approx(expected, abs=1e-14)


def test_positive_class_may_be_the_first():
    rng = np.random.default_rng(1)
    target, score = rng.integers(0, 2, 100), rng.normal(size=100).astype(np.float32)
    scores = evaluate(
        ["roc_auc", "average_precision"], binary(target, score), {"labels": ["no", "yes"], "positive": "no"}
    )
    assert scores["roc_auc"].value == pytest.approx(reference.roc_auc_score(1 - target, -score))
    assert scores["average_precision"].value == pytest.approx(reference.average_precision_score(1 - target, -score))


def test_many_classes_equal_scikit_learn(classified):
    table = classified(300, 4)
    target = table["target"].to_numpy()
    log_odds = np.stack(table["scores"].to_pylist()).astype(np.float64)
    probability = expit(log_odds)
    probability /= probability.sum(axis=1, keepdims=True)
    scores = evaluate(RANKED, table, {"labels": list("abcd")})
    for name, average, multi_class in (
        ("roc_auc", "macro", "ovr"),
        ("weighted_roc_auc", "weighted", "ovr"),
        ("roc_auc_ovo", "macro", "ovo"),
    ):
        expected = reference.roc_auc_score(target, probability, average=average, multi_class=multi_class)
        assert scores[name].value == pytest.approx(expected, abs=1e-12), name
    onehot = np.eye(4)[target]
    for name, average in (("average_precision", "macro"), ("weighted_average_precision", "weighted")):
        expected = reference.average_precision_score(onehot, log_odds, average=average)
        assert scores[name].value == pytest.approx(expected, abs=1e-12)


def test_influence_of_auc_and_average_precision_is_the_derivative_by_a_record_weight():
    from raybench.metrics.average_precision import AVERAGE_PRECISION
    from raybench.metrics.roc import ROC_AUC

    rng = np.random.default_rng(2)
    target = rng.integers(0, 2, 40)
    table = binary(target, np.round(rng.normal(size=40) + target, 1))
    options = {"labels": [0, 1], "positive": None, "ignore_index": -100}
    copies = 400  # a record once more among 400 of each: a small step of its weight
    many = pa.concat_tables([table] * copies)
    for metric in (ROC_AUC, AVERAGE_PRECISION):
        influence = metric.influence(table, options)
        value = metric.measure(table, options)
        for row in (0, 7, 19):
            moved = metric.measure(pa.concat_tables([many, table.slice(row, 1)]), options)
            assert influence[row] == pytest.approx((moved - value) * copies, rel=0.02, abs=2e-5)


def test_delong_interval_equals_the_textbook_formula():
    rng = np.random.default_rng(3)
    target = rng.integers(0, 2, 200)
    score = (rng.normal(size=200) + target).astype(np.float32)
    found = evaluate(["roc_auc"], binary(target, score), {"labels": [0, 1]})["roc_auc"]
    positive, negative = score[target == 1], score[target == 0]
    kernel = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    variance = kernel.mean(axis=1).var(ddof=1) / len(positive) + kernel.mean(axis=0).var(ddof=1) / len(negative)
    step = 1.959964 * np.sqrt(variance) / (found.value * (1 - found.value))
    centre = np.log(found.value / (1 - found.value))
    assert found.low == pytest.approx(1 / (1 + np.exp(step - centre)), abs=2e-3)
    assert found.high == pytest.approx(1 / (1 + np.exp(-step - centre)), abs=2e-3)


def test_perfect_auc_has_an_interval_that_admits_doubt():
    found = evaluate(["roc_auc"], binary([0, 0, 0, 1, 1, 1], [1, 2, 3, 4, 5, 6]), {"labels": [0, 1]})["roc_auc"]
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low < 0.6


@pytest.mark.parametrize("seed", range(4))
def test_correlations_equal_scipy(seed):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=150)
    prediction = np.round(target + rng.normal(size=150), seed)
    table = pa.table({"id": [f"r{k}" for k in range(150)], "target": target, "prediction": prediction})
    scores = evaluate(["spearman", "kendall", "pearson"], table, {})
    assert scores["spearman"].value == pytest.approx(stats.spearmanr(target, prediction).statistic, abs=1e-13)
    assert scores["kendall"].value == pytest.approx(stats.kendalltau(target, prediction).statistic, abs=1e-13)
    assert scores["pearson"].value == pytest.approx(stats.pearsonr(target, prediction).statistic, abs=1e-13)
    assert scores["spearman"].low < scores["spearman"].value < scores["spearman"].high


def test_average_precision_of_ties_takes_them_at_one_threshold():
    target, score = np.array([1, 0, 1, 0]), np.array([0.5, 0.5, 0.5, 0.1])
    assert average_precision(score, target == 1) == reference.average_precision_score(target, score)
