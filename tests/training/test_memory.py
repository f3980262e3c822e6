"""Out of memory: smaller micro-batches, the same effective batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.batches import bucket
from raybench.core import ModelSpec, Trial
from raybench.tasks.catalog import get_task
from raybench.training import step
from raybench.training.memory import Budgets, is_out_of_memory
from raybench.trial import fit_trial

CPU = torch.device("cpu")


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """An allocator that refuses forward passes of more padded tokens; returns the sizes that were tried."""

    def set_limit(most: int) -> list[int]:
        tried: list[int] = []
        plain = step.Stepper._loss

        def limited(self: Any, examples: Any, piece: Any) -> torch.Tensor:
            tried.append(len(piece.rows) * piece.padded)
            if tried[-1] > most:
                raise torch.OutOfMemoryError(f"tried to allocate for {tried[-1]} tokens")
            return plain(self, examples, piece)

        monkeypatch.setattr(step.Stepper, "_loss", limited)
        return tried

    monkeypatch.setattr(step, "BUDGETS", Budgets())
    return set_limit


def make(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> tuple[Trial, pa.Table]:
    model = ModelSpec(
        reference=str(tiny_bert), config={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    )
    trial = make_trial(model, "full", epochs=1, learning_rate=1e-3)
    return trial, get_task("text-classification").prepare(make_texts(40), trial.model, 48)


def test_the_micro_batch_shrinks_and_the_result_stays(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial], limit: Any
) -> None:
    trial, rows = make(tiny_bert, make_texts, make_trial)
    free = fit_trial(trial, rows, CPU)
    tried = limit(100)
    bound = fit_trial(trial, rows, CPU)
    assert max(tried) > 100
    assert bound.meta["micro_batch_tokens"] <= 100
    assert bound.meta["steps"] == free.meta["steps"]
    assert bound.meta["loss"] == pytest.approx(free.meta["loss"], abs=1e-4)
    for name in free.arrays:
        np.testing.assert_allclose(bound.arrays[name], free.arrays[name], atol=5e-4)


def test_the_size_that_worked_is_remembered(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial], limit: Any
) -> None:
    trial, rows = make(tiny_bert, make_texts, make_trial)
    tried = limit(100)
    fit_trial(trial, rows, CPU)
    tried.clear()
    fit_trial(trial, rows, CPU)
    assert max(tried) <= 100


def test_a_row_that_does_not_fit_alone_is_out_of_memory(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial], limit: Any
) -> None:
    trial, rows = make(tiny_bert, make_texts, make_trial)
    limit(int(bucket(rows.column("length").to_numpy()).max()) - 1)
    with pytest.raises(torch.OutOfMemoryError) as error:
        fit_trial(trial, rows, CPU)
    assert is_out_of_memory(error.value)
