"""Methods on features against the libraries they stand for."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from raybench.core.identity import seed_from
from raybench.recipes.methods.gradient_boosting import GradientBoosting
from raybench.recipes.methods.nearest_neighbors import NearestNeighbors


def rows(count: int, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels_N = draw.integers(0, labels, count)
    centres = np.random.default_rng(9).normal(size=(labels, 6))
    return (centres[labels_N] + draw.normal(size=(count, 6))).astype(np.float32), labels_N


@pytest.mark.parametrize("labels", [2, 4])
def test_boosting_from_arrays_is_scikit_learns_boosting(labels: int) -> None:
    features, targets = rows(120, labels, 0)
    test, _ = rows(50, labels, 1)
    method = GradientBoosting()
    arrays = method.fit(features, targets, labels, method.read({"rounds": 20}), seed=3)
    outputs = method.outputs(arrays, test).astype(np.float64)
    model = HistGradientBoostingClassifier(
        max_iter=20, max_leaf_nodes=15, min_samples_leaf=5, early_stopping=False,
        random_state=seed_from("boosting", 3) % 2**32,
    ).fit(features, targets)  # fmt: skip
    probabilities = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, model.predict_proba(test), atol=1e-5)


def test_boosting_never_predicts_a_label_without_rows() -> None:
    features, targets = rows(60, 2, 0)
    method = GradientBoosting()
    for kept in (np.array([3, 1]), np.array([2, 2])):
        arrays = method.fit(features, kept[targets], 5, method.read({"rounds": 3}), seed=0)
        assert set(method.outputs(arrays, features).argmax(1)) <= set(kept.tolist())


def test_the_only_neighbour_decides() -> None:
    features, targets = rows(40, 3, 0)
    method = NearestNeighbors()
    arrays = method.fit(features, targets, 3, method.read({"k": 1}), seed=0)
    assert method.outputs(arrays, features * 2).argmax(1).tolist() == targets.tolist()


def test_neighbours_vote() -> None:
    features = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0, 1]], dtype=np.float32)
    method = NearestNeighbors()
    arrays = method.fit(features, np.array([0, 1, 1, 2]), 3, method.read({"k": 3, "temperature": 10}), seed=0)
    assert method.outputs(arrays, np.array([[1, 0]], dtype=np.float32)).argmax(1).tolist() == [1]


@pytest.mark.parametrize("method", [GradientBoosting(), NearestNeighbors()])
def test_numbers_are_learnt_too(method: GradientBoosting | NearestNeighbors) -> None:
    features, labels = rows(120, 3, 0)
    values = labels[:, None].astype(np.float32) * 2
    arrays = method.fit(features, values, 1, method.read({}), seed=0)
    test, expected = rows(60, 3, 1)
    outputs = method.outputs(arrays, test)
    assert (outputs.shape, outputs.dtype) == ((60, 1), np.float32)
    assert np.abs(outputs[:, 0] - expected * 2).mean() < 0.5
