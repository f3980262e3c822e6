"""Which epochs trials share: those with the same learning rates, the same open blocks and all else equal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybench.core import Trial
from raybench.recipes.methods.catalog import get_method
from raybench.recipes.methods.learning_rate import rate_factor
from raybench.recipes.methods.method import Hyperparameters, Method
from raybench.recipes.methods.shared_steps import beginning, epoch_key

ROWS = st.integers(1, 70)
WHEN = st.fixed_dictionaries(
    {
        "epochs": st.integers(1, 4),
        "warmup": st.sampled_from([0.0, 0.1, 0.5]),
        "decay": st.sampled_from(["linear", "cosine", "constant"]),
        "head_epochs": st.integers(0, 3),
        "every": st.integers(1, 2),
        "blocks": st.integers(1, 2),
    }
)


def rates(h: Any, epoch: int, num_rows: int) -> list[float]:
    steps = -(-num_rows // h.batch_size)
    first, total = epoch * steps, h.epochs * steps
    return [rate_factor(step, total, warmup=h.warmup, decay=h.decay) for step in range(first, first + steps)]


def open_blocks(h: Any, epoch: int) -> int:
    return h.blocks * len(range(h.head_epochs, epoch + 1, h.every))


@given(WHEN, WHEN, ROWS)
def test_epochs_are_shared_exactly_when_rates_and_open_blocks_are(
    one: dict[str, Any], other: dict[str, Any], num_rows: int
) -> None:
    method = get_method("gradual_unfreeze")
    a, b = method.read(one), method.read(other)
    for epoch in range(min(a.epochs, b.epochs)):
        equal = epoch_key(method, a, epoch, num_rows) == epoch_key(method, b, epoch, num_rows)
        same_rates = rates(a, epoch, num_rows) == rates(b, epoch, num_rows)
        assert equal == (same_rates and open_blocks(a, epoch) == open_blocks(b, epoch))


OTHERS: dict[str, Any] = {
    "instruction": "Topic: ", "batch_size": 8, "learning_rate": 1e-3, "head_learning_rate": 0.1, "layer_decay": 0.5,
    "weight_decay": 0.5, "head": "random", "label_smoothing": 0.1, "class_weights": "balanced", "clip": 0.0,
    "patience": 2, "precision": "bfloat16", "micro_batch_tokens": 64, "gradient_checkpointing": True, "rank": 2,
    "alpha": 1.0, "dropout": 0.5, "dora": True, "target_modules": "query", "epochs": 4,
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_whoever_differs_in_anything_else_shares_nothing(
    name: str, tiny_bert: Path, make_trial: Callable[..., Trial]
) -> None:
    plain = {"warmup": 0.0, "decay": "constant"}
    assert set(get_method("lora").hyperparameters.model_fields) == {*OTHERS, *plain}
    a, b = (make_trial(tiny_bert, "lora", **plain, **more) for more in ({}, {name: OTHERS[name]}))
    assert (beginning(a, 50) == beginning(b, 50)) == (name == "epochs")


def test_seeds_methods_and_weights_share_nothing(
    tiny_bert: Path, tiny_classifier: Path, make_trial: Callable[..., Trial]
) -> None:
    trials = [
        make_trial(tiny_bert, "full"),
        make_trial(tiny_bert, "full", seed=1),
        make_trial(tiny_bert, "top_layers"),
        make_trial(tiny_classifier, "full"),
    ]
    assert len({beginning(trial, 50) for trial in trials}) == len(trials)


def test_of_a_method_that_says_nothing_only_equals_share() -> None:
    class Shy(Hyperparameters):
        epochs: int = 1

    class Own(Method):
        name = "own"
        hyperparameters = Shy

    method = Own()
    assert epoch_key(method, Shy(epochs=2), 0, 50) == epoch_key(method, Shy(epochs=2), 0, 50)
    assert epoch_key(method, Shy(epochs=2), 0, 50) != epoch_key(method, Shy(epochs=3), 0, 50)
