"""Heads on fixed features."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from raybench.runtime.training.heads import HeadSpec, class_weights, fit_heads, head_module, solve
from raybench.runtime.training.heads.fit import GROUP
from raybench.schedule.shards import head_parts


def features_and_labels(rows: int = 91, size: int = 13, labels: int = 5) -> tuple[torch.Tensor, np.ndarray]:
    draw = np.random.default_rng(5)
    labels_N = draw.integers(0, labels, rows)
    centres = draw.normal(size=(labels, size))
    features = 0.3 + 0.02 * (centres[labels_N] + draw.normal(size=(rows, size)))
    return torch.from_numpy(features.astype(np.float32)), labels_N


SOLVED = [
    HeadSpec(seed=seed, data="rows", weight_decay=decay, label_smoothing=smoothing, balanced=balanced)
    for seed in (0, 1)
    for decay in (None, 1e-3, 1e-1)
    for smoothing in (0.0, 0.1)
    for balanced in (False, True)
]
STEPPED = [
    HeadSpec(seed=seed, data="rows", learning_rate=rate, epochs=5, optimizer=optimizer, hidden=hidden)
    for seed in (0, 1, 2)
    for rate in (1e-3, 1e-1)
    for optimizer in ("adamw", "sgd")
    for hidden in (0, 7)
]


@pytest.mark.parametrize("specs", [SOLVED, STEPPED], ids=["lbfgs", "steps"])
def test_a_head_has_the_same_bits_alone_and_among_24(specs: list[HeadSpec]) -> None:
    features, labels = features_and_labels()
    assert len(specs) == 24
    together = fit_heads(features, labels, specs, num_outputs=5)
    for spec, among in zip(specs, together, strict=True):
        alone = fit_heads(features, labels, [spec], num_outputs=5)[0]
        assert not isinstance(among, Exception)
        assert not isinstance(alone, Exception)
        assert all(np.array_equal(alone[name], among[name]) for name in alone)


def test_neighbours_change_no_bit_where_rows_come_in_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "_LOGITS", 1)  # chunks of 512 rows
    features, labels = features_and_labels(rows=1100, size=7)
    together = fit_heads(features, labels, SOLVED[:10], num_outputs=5)
    for place in (5, 9):
        among, alone = together[place], fit_heads(features, labels, [SOLVED[place]], num_outputs=5)[0]
        assert not isinstance(among, Exception)
        assert not isinstance(alone, Exception)
        assert all(np.array_equal(alone[name], among[name]) for name in alone)


def test_chunks_of_rows_change_rounding_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = features_and_labels(rows=1500)
    whole = fit_heads(features, labels, SOLVED[:8], num_outputs=5)
    monkeypatch.setattr(solve, "_LOGITS", 1)
    for a, b in zip(whole, fit_heads(features, labels, SOLVED[:8], num_outputs=5), strict=True):
        assert not isinstance(a, Exception)
        assert not isinstance(b, Exception)
        np.testing.assert_allclose(a["head.weight"], b["head.weight"], rtol=1e-3, atol=1e-3)


class _Largest(TorchDispatchMode):
    """Most bytes that a single tensor took."""

    num_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.num_bytes = max(self.num_bytes, tensor.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("rate", [None, 0.01], ids=["lbfgs", "steps"])
def test_no_array_is_larger_than_the_features_in_float64(rate: float | None) -> None:
    features, labels = features_and_labels(rows=12000, size=48, labels=20)
    spec = HeadSpec(seed=0, data="rows", weight_decay=10.0, learning_rate=rate, epochs=1, batch_size=1024)
    with _Largest() as largest:
        fit_heads(features, labels, [spec], num_outputs=20)
    assert largest.num_bytes == 2 * features.untyped_storage().nbytes()


def test_without_a_learning_rate_it_is_logistic_regression_on_standard_features() -> None:
    features, labels = features_and_labels()
    weights = fit_heads(features, labels, [HeadSpec(seed=0, data="rows")], num_outputs=5)[0]
    assert not isinstance(weights, Exception)
    x = features.double().numpy()
    scale = np.sqrt(((x - x.mean(0)) ** 2).mean())
    reference = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit((x - x.mean(0)) / scale, labels)
    expected = reference.predict_proba((x - x.mean(0)) / scale)
    logits = head_module(weights)(features)
    np.testing.assert_allclose(torch.softmax(logits, -1).detach().numpy(), expected, atol=2e-3)


def test_the_scale_of_features_does_not_matter() -> None:
    features, labels = features_and_labels()
    for spec in (HeadSpec(seed=0, data="rows"), HeadSpec(seed=0, data="rows", learning_rate=0.01, epochs=3)):
        small = fit_heads(features, labels, [spec], num_outputs=5)[0]
        large = fit_heads(features * 1024, labels, [spec], num_outputs=5)[0]
        assert not isinstance(small, Exception)
        assert not isinstance(large, Exception)
        np.testing.assert_allclose(small["head.weight"], large["head.weight"] * 1024, rtol=1e-4)


def test_a_head_that_diverges_is_its_own_error_and_its_neighbour_is_fitted() -> None:
    features, labels = features_and_labels()
    wild = HeadSpec(seed=0, data="rows", learning_rate=1e38, weight_decay=1e30, epochs=3)
    tame = HeadSpec(seed=0, data="rows", learning_rate=1e-2, epochs=3)
    first, second = fit_heads(features, labels, [wild, tame], num_outputs=5)
    assert isinstance(first, Exception)
    assert not isinstance(second, Exception)


def test_class_weights_average_to_one_over_the_rows() -> None:
    labels = np.array([0, 0, 0, 1, 3, 3])
    weights = class_weights(labels, 4)
    assert weights[2] == 0
    assert weights[labels].mean() == pytest.approx(1)
    assert weights[0] * 3 == pytest.approx(weights[1])


def test_heads_are_dealt_to_actors_in_whole_groups() -> None:
    assert len(head_parts([f"t{number}" for number in range(5 * GROUP)], num_actors=20)[0]) == GROUP
