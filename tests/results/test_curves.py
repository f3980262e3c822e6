"""Curves against scikit-learn's, and what they are where there is nothing to draw."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from raybench.results.curves import precision_recall, reliability, roc

NUM = 4000


@pytest.fixture
def two_classes():
    draw = np.random.default_rng(3)
    target = draw.integers(0, 2, NUM).astype(np.int32)
    score = np.round(draw.normal(target, 1.0), 1)  # with ties
    return pa.table({"id": [f"{n:05d}" for n in range(NUM)], "target": target, "score": score.astype(np.float32)})


def test_roc_is_scikit_learns(two_classes):
    curve = roc(two_classes, ("a", "b"))
    target, score = two_classes["target"].to_numpy(), two_classes["score"].to_numpy()
    false, true, _ = roc_curve(target, score)
    assert np.interp(curve.x, false, true)[1:] == pytest.approx(curve.y[1:])
    assert curve.area == pytest.approx(roc_auc_score(target, score), abs=2e-3)


def test_precision_is_the_best_that_scikit_learn_finds_at_a_recall(two_classes):
    curve = precision_recall(two_classes, ("a", "b"))
    precision, recall, _ = precision_recall_curve(two_classes["target"].to_numpy(), two_classes["score"].to_numpy())
    for x, y in list(zip(curve.x, curve.y, strict=True))[1::20]:
        assert y == pytest.approx(precision[:-1][recall[:-1] >= x - 1e-12].max())


def test_several_classes_are_each_against_the_others():
    draw = np.random.default_rng(0)
    target = draw.integers(0, 3, NUM)
    scores = draw.normal(0, 1, (NUM, 3)) + 2 * np.eye(3)[target]
    records = pa.table(
        {"target": target.astype(np.int32), "scores": pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), 3)}
    )
    curve = roc(records, ("a", "b", "c"))
    assert curve.classes == 3
    wanted = np.mean([roc_auc_score(target == place, scores[:, place]) for place in range(3)])
    assert curve.area == pytest.approx(wanted, abs=2e-3)


def test_a_perfect_ranking_has_the_whole_area():
    records = pa.table({"target": pa.array([0, 0, 1, 1], pa.int32()), "score": [0.1, 0.2, 0.8, 0.9]})
    assert precision_recall(records, ("a", "b")).area == pytest.approx(1.0)
    assert roc(records, ("a", "b")).area == pytest.approx(1.0, abs=3e-3)  # but for its first step


def test_reliability_is_accuracy_in_bins_of_confidence():
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0.4, 1.0, NUM)
    right = draw.random(NUM) < confidence
    records = pa.table(
        {"target": np.ones(NUM, np.int32), "prediction": right.astype(np.int32), "confidence": confidence}
    )
    found = reliability(records)
    assert sum(found.examples) == NUM
    assert found.confidence == tuple(sorted(found.confidence))
    for sure, true, count in zip(*found, strict=True):
        assert abs(sure - true) < 4 * 0.5 / np.sqrt(count)


@pytest.mark.parametrize(
    "records",
    [
        pa.table({"target": [0.5, 1.0], "prediction": [0.4, 1.1]}),
        pa.table({"target": pa.array([1, 1], pa.int32()), "score": [0.1, 0.2]}),
        pa.table({"target": pa.array([0, 1], pa.int32()), "score": [0.1, float("nan")]}),
        pa.table({"hypothesis": ["a"], "references": [["a"]]}),
    ],
)
def test_where_nothing_can_be_drawn_there_is_none(records):
    assert roc(records, ("a", "b")) is None
    assert precision_recall(records, ("a", "b")) is None
    assert reliability(records) is None
