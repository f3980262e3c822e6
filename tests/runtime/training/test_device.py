"""Which device, and deterministic algorithms on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import Trial
from raybench.runtime import fit as fit_module
from raybench.runtime.training import step
from raybench.runtime.training.determinism import deterministic, deterministic_where_possible
from raybench.runtime.training.device import CONTEXT_BYTES, device_of, memory_fraction, share_memory
from raybench.runtime.trial import fit_bundle, fit_trial
from raybench.tasks.catalog import get_task

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("gpus", "available", "kind"),
    [(0.0, True, "cpu"), (0.0, False, "cpu"), (0.25, True, "cuda"), (1.0, True, "cuda"), (1.0, False, "cpu")],
)
def test_an_actor_computes_on_what_it_was_given(gpus: float, available: bool, kind: str) -> None:
    assert device_of(gpus, cuda_available=available).type == kind


def settings() -> tuple[bool, bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        cudnn.deterministic,
        cudnn.benchmark,
    )


def test_algorithms_on_a_gpu_are_deterministic_and_elsewhere_left_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = settings()
    with deterministic(GPU):
        assert settings() == (True, False, True, False)
    with deterministic(GPU, strict=False):
        assert settings() == (False, False, True, False)
    with deterministic(CPU):
        assert settings() == before
    with pytest.raises(ValueError, match="mistake"), deterministic(GPU):
        raise ValueError("a mistake")
    assert settings() == before


def _unpool() -> torch.Tensor:
    """An operation for which torch has no deterministic algorithm, on a CPU either."""
    return torch.nn.functional.max_unpool2d(torch.ones(1, 1, 2, 2), torch.tensor([[[[0, 2], [8, 10]]]]), 2)


def test_an_operation_without_a_deterministic_algorithm_is_done_all_the_same_and_told() -> None:
    result, told = deterministic_where_possible(_unpool, GPU)
    assert result.sum() == 4
    assert not told
    assert deterministic_where_possible(lambda: 3, GPU) == (3, True)


@pytest.fixture
def gpu_like(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU whose algorithms must be asked to be deterministic, as a GPU's, and a loss that cannot be."""
    plain = step.Stepper._loss

    def loss(self: Any, *rest: Any) -> torch.Tensor:
        return plain(self, *rest) + 0 * _unpool().sum()

    monkeypatch.setattr(fit_module, "deterministic", lambda device, strict: deterministic(GPU, strict=strict))
    monkeypatch.setattr(step.Stepper, "_loss", loss)


def test_a_fit_says_where_its_algorithms_were_not_deterministic(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial], gpu_like: None
) -> None:
    stepped, head = make_trial(tiny_bert, "full", epochs=1), make_trial(tiny_bert, "frozen")
    rows = get_task("text-classification").prepare(make_texts(20), stepped.model, 48)
    told, kept = fit_bundle([stepped, head], rows, CPU)
    assert told.meta["deterministic"] is False
    assert kept.meta["deterministic"] is True
    assert not torch.are_deterministic_algorithms_enabled()
    again = fit_trial(stepped, rows, CPU)
    assert all(np.array_equal(again.arrays[name], told.arrays[name]) for name in told.arrays)


@pytest.mark.parametrize("sharers", [2, 3, 8, 20])
def test_actors_that_share_a_gpu_fit_on_it_with_what_their_processes_take(sharers: int) -> None:
    total = 80 * 10**9
    taken = sharers * (memory_fraction(1 / sharers, total) * total + CONTEXT_BYTES)
    assert taken <= total * (1 + 1e-9)


def test_of_a_part_too_small_for_a_process_half_is_for_its_tensors() -> None:
    assert memory_fraction(0.02, 10 * 10**9) == 0.01


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_an_actor_keeps_to_its_part_of_a_gpu() -> None:
    device = torch.device("cuda")
    total = torch.cuda.get_device_properties(device).total_memory
    try:
        share_memory(device, 0.25)
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(int(0.26 * total), dtype=torch.uint8, device=device)
        assert torch.empty(int(0.2 * total), dtype=torch.uint8, device=device).numel()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
