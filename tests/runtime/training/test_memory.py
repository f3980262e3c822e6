"""Out of memory: smaller micro-batches, the same effective batch."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.data.batches import bucket
from raybench.runtime.training import features, step
from raybench.runtime.training.attempt import Attempt, first_attempt
from raybench.runtime.training.memory import is_out_of_memory
from raybench.runtime.trial import Checkpoint, fit_bundle, fit_trial
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _collect_quickly() -> Iterator[None]:
    """Each attempt collects garbage first, which takes long among a million objects of libraries."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """An allocator that refuses forward passes of more padded tokens; returns the sizes that were tried."""

    plain = step.Stepper._loss

    def set_limit(most: int) -> list[int]:
        tried: list[int] = []

        def limited(self: Any, examples: Any, piece: Any) -> torch.Tensor:
            tried.append(len(piece.rows) * piece.padded)
            if tried[-1] > most:
                raise torch.OutOfMemoryError(f"tried to allocate for {tried[-1]} tokens")
            return plain(self, examples, piece)

        monkeypatch.setattr(step.Stepper, "_loss", limited)
        return tried

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


def same(a: Checkpoint | Exception, b: Checkpoint | Exception) -> bool:
    assert isinstance(a, Checkpoint), a
    assert isinstance(b, Checkpoint), b
    return a.arrays.keys() == b.arrays.keys() and all(np.array_equal(a.arrays[n], b.arrays[n]) for n in a.arrays)


def test_what_ran_out_of_memory_before_shapes_no_later_fit(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial], limit: Any
) -> None:
    trial, rows = make(tiny_bert, make_texts, make_trial)
    free = fit_trial(trial, rows, CPU)
    limit(100)
    bound = fit_trial(trial, rows, CPU)
    assert not same(bound, free)
    assert same(fit_trial(trial, rows, CPU), bound)
    limit(10**9)
    assert same(fit_trial(trial, rows, CPU), free)


def test_a_fit_that_runs_out_late_has_the_bits_of_its_last_micro_batch(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial], limit: Any
) -> None:
    trial, rows = make(tiny_bert, make_texts, make_trial)
    tried = limit(10**9)
    fit_trial(trial, rows, CPU)
    tried_before = sorted(set(tried))
    limit(tried_before[-2])  # the largest micro-batch alone does not fit, wherever in the epoch it comes
    late = fit_trial(trial, rows, CPU)
    wanted = make_trial(
        trial.model, "full", epochs=1, learning_rate=1e-3, micro_batch_tokens=late.meta["micro_batch_tokens"]
    )
    assert same(late, fit_trial(wanted, rows, CPU))


def test_only_the_branch_that_runs_out_begins_anew(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial], monkeypatch: Any
) -> None:
    options = {"epochs": 2, "learning_rate": 1e-3, "batch_size": 8}
    group = [make_trial(tiny_bert, "gradual_unfreeze", **options, head_epochs=count) for count in (1, 2)]
    rows = get_task("text-classification").prepare(make_texts(40), group[0].model, 48)
    plain = step.Stepper._loss

    def limited(self: Any, examples: Any, piece: Any) -> torch.Tensor:
        opened = any(parameter.requires_grad for parameter in self.network.backbone.parameters())
        if opened and len(piece.rows) * piece.padded > 100:
            raise torch.OutOfMemoryError("activations")
        return plain(self, examples, piece)

    monkeypatch.setattr(step.Stepper, "_loss", limited)
    together = fit_bundle(group, rows, CPU)
    budgets = [outcome.meta["micro_batch_tokens"] for outcome in together if isinstance(outcome, Checkpoint)]
    assert budgets[0] <= 100 < budgets[1]
    for trial, outcome in zip(group, together, strict=True):
        assert same(outcome, fit_trial(trial, rows, CPU))


@pytest.fixture
def full_while_others_are_open(monkeypatch: pytest.MonkeyPatch) -> tuple[Workspace, list[int]]:
    """A device on which nothing fits beside the networks that are kept for other trials; how often it said so."""
    workspace = Workspace(CPU)
    said: list[int] = []

    def check(allowed: int) -> None:
        if len(workspace.networks) > allowed:
            said.append(len(workspace.networks))
            raise torch.OutOfMemoryError("others are in the way")

    steps, forward = step.Stepper._loss, features._forward

    def loss(self: Any, *rest: Any) -> torch.Tensor:
        check(0)
        return steps(self, *rest)

    def forwarded(*given: Any) -> np.ndarray:
        check(1)  # the network itself
        return forward(*given)

    monkeypatch.setattr(step.Stepper, "_loss", loss)
    monkeypatch.setattr(features, "_forward", forwarded)
    return workspace, said


@pytest.mark.parametrize("method", ["full", "lora", "frozen", "nearest_neighbors"])
def test_everything_else_is_let_go_before_anything_else_is_changed(
    method: str,
    tiny_bert: Path,
    make_texts: Callable[..., pa.Table],
    make_trial: Callable[..., Trial],
    full_while_others_are_open: tuple[Workspace, list[int]],
) -> None:
    options = {"epochs": 1, "head": "random"} if method in ("full", "lora") else {}
    trial, other = (
        make_trial(tiny_bert, method, **options),
        make_trial(ModelSpec(reference=str(tiny_bert), num_layers=1)),
    )
    task = get_task("text-classification")
    rows = task.prepare(make_texts(40), trial.model, 48)
    workspace, said = full_while_others_are_open
    alone = fit_trial(trial, rows, workspace)
    said.clear()
    workspace.network(other, task, own_head=False)
    workspace.caches.clear()
    assert same(fit_trial(trial, rows, workspace), alone)
    assert len(said) == 1
    assert alone.meta.get("micro_batch_tokens") == alone.meta.get("micro_batch_tokens_wanted")


def test_attempts_end_where_one_row_does_not_fit() -> None:
    attempt, tried = first_attempt(CPU, longest_row=48, wanted=300), []
    while attempt is not None:
        tried.append((attempt.budget, attempt.alone))
        attempt = attempt.after(MemoryError())
    assert tried == [(300, False), (300, True), (150, True), (75, True), (48, True)]
    assert first_attempt(CPU, longest_row=48).after(ValueError("a mistake")) is None
    heads = Attempt().after(MemoryError())
    assert heads is not None
    assert heads.after(MemoryError()) is None


def test_a_row_that_does_not_fit_alone_is_out_of_memory(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial], limit: Any
) -> None:
    trial, rows = make(tiny_bert, make_texts, make_trial)
    limit(int(bucket(rows.column("length").to_numpy()).max()) - 1)
    with pytest.raises(torch.OutOfMemoryError) as error:
        fit_trial(trial, rows, CPU)
    assert is_out_of_memory(error.value)
