"""The options that all methods trained in steps share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.core.errors import IncompatibleError
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.training.optimizer import adamw
from raybench.runtime.trial import Checkpoint, fit_trial
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")
PLAIN = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture
def fit(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> Callable[..., Checkpoint]:
    def run(**options: Any) -> Checkpoint:
        model = ModelSpec(reference=str(tiny_bert), config=PLAIN)
        trial = make_trial(model, "full", **{"epochs": 2, "learning_rate": 1e-3, **options})
        rows = get_task("text-classification").prepare(make_texts(40), model, 48)
        return fit_trial(trial, rows, CPU)

    return run


def largest_gap(a: Checkpoint, b: Checkpoint) -> float:
    return max(float(np.abs(a.arrays[name] - b.arrays[name]).max()) for name in a.arrays)


@pytest.mark.parametrize(
    "option",
    [
        {"label_smoothing": 0.2},
        {"class_weights": "balanced"},
        {"layer_decay": 0.5},
        {"head_learning_rate": 0.1},
        {"clip": 0.01},
        {"warmup": 0.9},
        {"decay": "cosine"},
        {"head": "random"},
        {"precision": "bfloat16"},
        {"weight_decay": 0.5},
    ],
    ids=lambda option: next(iter(option)),
)
def test_every_option_has_an_effect_and_leaves_weights_finite(
    option: dict[str, Any], fit: Callable[..., Checkpoint]
) -> None:
    changed = fit(**option)
    assert all(np.isfinite(array).all() for array in changed.arrays.values())
    assert largest_gap(fit(), changed) > 1e-6


def test_gradient_checkpointing_changes_memory_and_not_the_result(fit: Callable[..., Checkpoint]) -> None:
    assert largest_gap(fit(), fit(gradient_checkpointing=True)) < 1e-5


def test_blocks_learn_slower_the_deeper_they_lie(tiny_bert: Path, make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(tiny_bert, "full", learning_rate=1.0, layer_decay=0.5, head_learning_rate=3.0)
    method = get_method("full")
    h = method.read(trial.hyperparameters)
    network = Workspace(CPU).trainable(trial, get_task(trial.dataset.task), method, h)
    optimizer = adamw(network, method.trained(network, h), h)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    found = {name: rates[id(parameter)] for name, parameter in network.named_parameters()}
    assert found["head.weight"] == 3.0
    assert found["backbone.encoder.layer.2.output.dense.weight"] == 0.5
    assert found["backbone.encoder.layer.0.output.dense.weight"] == 0.125
    assert found["backbone.embeddings.word_embeddings.weight"] == 0.0625


def test_checkpointing_where_there_is_none_is_incompatible(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> None:
    model = ModelSpec(reference=str(tiny_bert), pooling="static")
    trial = make_trial(model, "full", gradient_checkpointing=True)
    rows = get_task("text-classification").prepare(make_texts(20), model, 48)
    with pytest.raises(IncompatibleError, match="gradient_checkpointing"):
        fit_trial(trial, rows, CPU)
