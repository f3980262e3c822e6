"""Trials that begin with the same steps: run once, with the bits and the cost of each alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from torch.optim.optimizer import register_optimizer_step_post_hook

from raybench.core import ModelSpec, Trial
from raybench.core.errors import DivergedError
from raybench.data import packaged
from raybench.runtime.training import epochs, step
from raybench.runtime.training.snapshot import Snapshot
from raybench.runtime.trial import Checkpoint, fit_bundle, fit_trial
from raybench.tasks.catalog import get_task
from tests.device import DEVICE

ROWS, STEPS = 40, 5
CONSTANT = {"warmup": 0.0, "decay": "constant", "learning_rate": 1e-3, "batch_size": 8}
GRADUAL = {"epochs": 3, "learning_rate": 1e-3, "batch_size": 8}
Options = list[tuple[str, dict[str, Any]]]
GROUPS: dict[str, Options] = {
    "longer schedules": [("full", {**CONSTANT, "epochs": count}) for count in (2, 1, 3, 3)],
    "unfreezing": [
        ("gradual_unfreeze", {**GRADUAL, **when})
        for when in ({"head_epochs": 3}, {"head_epochs": 1}, {"head_epochs": 2}, {"blocks": 2}, {"blocks": 4})
    ],
    "adapters": [("lora", {**CONSTANT, "epochs": count, "rank": 2, "dropout": 0.1}) for count in (1, 2)],
    "two groups": [("full", {**CONSTANT, "epochs": n, "clip": clip}) for n in (1, 2) for clip in (0.1, 0.0)],
    "loss scaling": [
        ("gradual_unfreeze", {**GRADUAL, "precision": "float16", "head_epochs": count}) for count in (1, 2)
    ],
}


@pytest.fixture
def trials(tiny_bert: Path, make_trial: Callable[..., Trial]) -> Callable[..., list[Trial]]:
    def make(options: Options, **model: Any) -> list[Trial]:
        return [make_trial(ModelSpec(reference=str(tiny_bert), **model), name, **h) for name, h in options]

    return make


@pytest.fixture
def rows(make_texts: Callable[..., pa.Table], tiny_bert: Path) -> Callable[..., pa.Table]:
    def make(count: int = ROWS, seed: int = 0) -> pa.Table:
        model = ModelSpec(reference=str(tiny_bert))
        return get_task("text-classification").prepare(make_texts(count, seed=seed), model, 48)

    return make


@pytest.fixture
def steps_run() -> Iterator[list[int]]:
    """One entry for each step that an optimizer really takes."""
    run: list[int] = []
    handle = register_optimizer_step_post_hook(lambda *_: run.append(1))
    yield run
    handle.remove()


def same(a: Checkpoint | Exception, b: Checkpoint | Exception) -> bool:
    assert isinstance(a, Checkpoint), a
    assert isinstance(b, Checkpoint), b
    return a.arrays.keys() == b.arrays.keys() and all(np.array_equal(a.arrays[n], b.arrays[n]) for n in a.arrays)


@pytest.mark.parametrize("name", GROUPS)
def test_every_trial_has_the_bits_and_the_cost_it_has_alone(name: str, trials: Any, rows: Any) -> None:
    group, train = trials(GROUPS[name]), rows()
    for trial, together in zip(group, fit_bundle(group, train, DEVICE), strict=True):
        alone = fit_trial(trial, train, DEVICE)
        assert same(together, alone)
        for key in ("steps", "flops", "loss", "best_epoch", "params_trained", "params_total"):
            assert together.meta[key] == alone.meta[key], key


def test_early_stopping_is_as_alone(trials: Any, rows: Any) -> None:
    wild = {**CONSTANT, "learning_rate": 0.02, "patience": 1, "head": "random"}
    group, train, validation = trials([("full", {**wild, "epochs": n}) for n in (1, 6, 8)]), rows(), rows(30, seed=2)
    together = fit_bundle(group, train, DEVICE, validation=validation)
    for trial, outcome in zip(group, together, strict=True):
        alone = fit_trial(trial, train, DEVICE, validation=validation)
        assert same(outcome, alone)
        assert (outcome.meta["steps"], outcome.meta["best_epoch"]) == (alone.meta["steps"], alone.meta["best_epoch"])
    assert together[2].meta["steps"] < 8 * STEPS  # it stopped, and so did the shorter one with it


def test_random_weights_are_shared_by_trials_of_one_seed(trials: Any, rows: Any, steps_run: list[int]) -> None:
    group, train = trials([("full", {**CONSTANT, "epochs": n}) for n in (1, 2)], init="scratch"), rows()
    together = fit_bundle(group, train, DEVICE)
    assert len(steps_run) == 2 * STEPS
    assert all(same(outcome, fit_trial(trial, train, DEVICE)) for trial, outcome in zip(group, together, strict=True))


def test_batch_norms_part_too(make_trial: Callable[..., Trial]) -> None:
    shape = {"hidden_sizes": [12, 20], "depths": [1, 1], "layer_type": "basic", "downsample_in_first_stage": False}
    model = ModelSpec(reference="arch:resnet", config={"num_channels": 1, "embedding_size": 12, **shape})
    task, names = get_task("image-classification"), tuple(str(digit) for digit in range(10))
    digits = packaged.digits()["train"].slice(0, ROWS)
    train = task.prepare(digits.append_column("id", pa.array([str(row) for row in range(ROWS)])), model, 0)
    group = [
        make_trial(model, "gradual_unfreeze", task=task.name, labels=names, **{**GRADUAL, "head_epochs": count})
        for count in (1, 2)
    ]
    for trial, together in zip(group, fit_bundle(group, train, DEVICE), strict=True):
        assert any(name.endswith("running_mean") for name in together.arrays)
        assert same(together, fit_trial(trial, train, DEVICE))


@pytest.mark.parametrize(
    ("options", "epochs_run"),
    [
        ([("full", {**CONSTANT, "epochs": n}) for n in (1, 2, 3)], 3),
        ([("full", {**CONSTANT, "epochs": n, "decay": "linear"}) for n in (1, 2, 3)], 6),
        ([("gradual_unfreeze", {**GRADUAL, "head_epochs": n}) for n in (1, 2, 3)], 3 + 2 + 1),
        ([("full", {**CONSTANT, "epochs": 2, "learning_rate": rate}) for rate in (1e-3, 1e-4)], 4),
    ],
    ids=["constant", "linear", "unfreezing", "rates"],
)
def test_shared_steps_are_run_once(
    options: Options, epochs_run: int, trials: Any, rows: Any, steps_run: list[int]
) -> None:
    outcomes = fit_bundle(trials(options), rows(), DEVICE)
    assert all(isinstance(outcome, Checkpoint) for outcome in outcomes)
    assert len(steps_run) == epochs_run * STEPS


def test_shared_epochs_are_charged_to_each_trial_whole(trials: Any, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(1000))
    monkeypatch.setattr(epochs.time, "perf_counter", lambda: float(next(ticks)))  # an epoch asks twice: one second
    one, three = fit_bundle(trials([("full", {**CONSTANT, "epochs": n}) for n in (1, 3)]), rows(), DEVICE)
    assert three.meta["fit_seconds"] - one.meta["fit_seconds"] == 2


@pytest.fixture
def fails_when_blocks_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = step.Stepper.gradients

    def gradients(self: Any, *rows: Any, **counted: Any) -> Any:
        found = plain(self, *rows, **counted)
        if any(parameter.requires_grad for parameter in self.network.backbone.parameters()):
            raise DivergedError("open")
        return found

    monkeypatch.setattr(step.Stepper, "gradients", gradients)


def test_a_branch_that_fails_fails_its_trials_alone(trials: Any, rows: Any, fails_when_blocks_are_open: None) -> None:
    group = trials([("gradual_unfreeze", {**GRADUAL, "head_epochs": count}) for count in (1, 3, 0, 3)])
    first, frozen, second, again = fit_bundle(group, rows(), DEVICE)
    assert isinstance(first, DivergedError)
    assert isinstance(second, DivergedError)
    assert same(frozen, fit_trial(group[1], rows(), DEVICE))
    assert same(frozen, again)


def test_what_fails_before_trials_part_fails_them_all(trials: Any, rows: Any, steps_run: list[int]) -> None:
    wild = {**CONSTANT, "learning_rate": 1e30}
    outcomes = fit_bundle(trials([("full", {**wild, "epochs": n}) for n in (1, 2, 3)]), rows(), DEVICE)
    assert all(isinstance(outcome, DivergedError) for outcome in outcomes)
    assert len(steps_run) == STEPS


def test_few_copies_are_held_and_none_where_one_way_goes_on(
    trials: Any, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, most = [0], [0]

    class Counted(Snapshot):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            held[0] += 1
            most[0] = max(most[0], held[0])

        def __del__(self) -> None:
            held[0] -= 1

    monkeypatch.setattr(epochs, "Snapshot", Counted)
    fit_bundle(trials(GROUPS["longer schedules"]), rows(), DEVICE)
    assert most == [0]
    fit_bundle(
        trials([("gradual_unfreeze", {**GRADUAL, "epochs": 5, "head_epochs": n}) for n in range(1, 6)]), rows(), DEVICE
    )
    assert (held, most) == ([0], [1])


@pytest.mark.parametrize(("method", "counts"), [("full", 1), ("gradual_unfreeze", 3)])
def test_operations_are_counted_in_the_first_step_and_change_no_bit(
    method: str, counts: int, trials: Any, rows: Any, monkeypatch: pytest.MonkeyPatch, steps_run: list[int]
) -> None:
    [trial], train = trials([(method, {"epochs": 3, "batch_size": 8})]), rows()
    counted = fit_trial(trial, train, DEVICE)
    assert len(steps_run) == 3 * STEPS
    calls: list[int] = []

    def without(run: Callable[[], Any]) -> tuple[Any, int]:
        calls.append(1)
        return run(), 0

    monkeypatch.setattr(step, "count_flops", without)
    assert same(counted, fit_trial(trial, train, DEVICE))
    assert len(calls) == counts  # again only when more is trained
