"""Precisions of training that are not the weights': float16 with its scaled loss, and bfloat16, on a CPU too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.core.errors import DivergedError
from raybench.runtime.trial import Checkpoint, fit_trial
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")
PLAIN = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture
def fit(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> Callable[..., Checkpoint]:
    def run(**options: Any) -> Checkpoint:
        model = ModelSpec(reference=str(tiny_bert), config=PLAIN)
        # a fresh head and few steps: later ones amplify any difference, a rounding of float32 too
        trial = make_trial(model, "full", **{"epochs": 2, "learning_rate": 1e-3, "head": "random", **options})
        return fit_trial(trial, get_task("text-classification").prepare(make_texts(40), model, 48), CPU)

    return run


@pytest.mark.parametrize(("precision", "gap"), [("float16", 2e-3), ("bfloat16", 4e-3)])
def test_half_precision_trains_nearly_as_float32_does(
    precision: str, gap: float, fit: Callable[..., Checkpoint]
) -> None:
    exact, near = fit(), fit(precision=precision)
    assert near.meta["dtype"] == precision
    assert near.meta["loss"] != exact.meta["loss"]
    assert near.meta["loss"] == pytest.approx(exact.meta["loss"], rel=1e-3)
    for name, array in near.arrays.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, exact.arrays[name], atol=gap)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_a_loss_that_diverges_in_half_precision_is_told(precision: str, fit: Callable[..., Checkpoint]) -> None:
    with pytest.raises(DivergedError, match="learning_rate"):
        fit(precision=precision, learning_rate=1e30, warmup=0.0, decay="constant")
