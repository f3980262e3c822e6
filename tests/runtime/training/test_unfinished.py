"""A fit that is killed at any epoch goes on elsewhere, to the bit; what is stale or torn is not gone on from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raybench.core import Trial
from raybench.core.errors import StoreError, StoreFullError
from raybench.runtime.training import epochs as epochs_module
from raybench.runtime.training import network_fitter
from raybench.runtime.training.unfinished import Saving
from raybench.runtime.trial import Checkpoint, fit_in_turn
from raybench.store.files import Files
from raybench.store.unfinished import UnfinishedFits
from raybench.tasks.catalog import get_task
from tests.device import DEVICE
from tests.runtime.training.test_shared_steps import CONSTANT, GRADUAL, same

WALKS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "alone": [("full", {**CONSTANT, "epochs": 4, "decay": "linear", "layer_decay": 0.8})],
    "a tree": [("gradual_unfreeze", {**GRADUAL, "epochs": 4, "head_epochs": count}) for count in (1, 2, 4)],
    "longer schedules": [("full", {**CONSTANT, "epochs": count}) for count in (1, 3, 4)],
    "early stopping": [("full", {**CONSTANT, "epochs": 6, "learning_rate": 0.02, "patience": 2, "head": "random"})],
    "loss scaling": [("full", {**CONSTANT, "epochs": 3, "precision": "float16"})],
    "adapter": [("lora", {**CONSTANT, "epochs": 3, "rank": 2, "dropout": 0.1})],
}
COUNTED = ("steps", "flops", "loss", "best_epoch", "params_trained", "params_total")


class Killed(BaseException):
    """Ends a fit as a signal does: nothing of it is an outcome."""


@pytest.fixture
def train(make_texts: Callable[..., pa.Table], make_trial: Any, tiny_bert: Path) -> pa.Table:
    return get_task("text-classification").prepare(make_texts(24), make_trial(tiny_bert).model, 48)


@pytest.fixture
def validation(make_texts: Callable[..., pa.Table], make_trial: Any, tiny_bert: Path) -> pa.Table:
    return get_task("text-classification").prepare(make_texts(16, seed=2), make_trial(tiny_bert).model, 48)


@pytest.fixture
def shelf(tmp_path: Path) -> UnfinishedFits:
    return UnfinishedFits(Files(str(tmp_path)))


@pytest.fixture
def die_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int | None], list[int]]]:
    """Sets after how many epochs the process dies; gives the epochs that were run since."""
    plain = epochs_module.Epochs.epoch
    limit: list[int | None] = [None]
    run: list[int] = []

    def epoch(self: Any, h: Any, before: Any) -> Any:
        if limit[0] is not None and len(run) >= limit[0]:
            raise Killed
        run.append(before.epochs)
        return plain(self, h, before)

    monkeypatch.setattr(epochs_module.Epochs, "epoch", epoch)

    def set_limit(count: int | None) -> list[int]:
        limit[0] = count
        run.clear()
        return run

    return set_limit


def saving(shelf: UnfinishedFits, **changes: Any) -> Saving:
    return dataclasses.replace(Saving(shelf=shelf, basis="here", every_seconds=0.0, urgent=lambda: True), **changes)


def fit(trials: list[Trial], train: pa.Table, validation: pa.Table, saved: Saving | None) -> dict[str, Checkpoint]:
    """Those that ended, before the process died if it did."""
    ended: dict[str, Checkpoint] = {}
    try:
        for place, outcome in fit_in_turn(trials, train, DEVICE, validation=validation, saving=saved):
            assert isinstance(outcome, Checkpoint), outcome
            ended[trials[place].trial_id] = outcome
    except Killed:
        pass
    return ended


def alike(one: dict[str, Checkpoint], other: dict[str, Checkpoint]) -> bool:
    return one.keys() == other.keys() and all(
        same(one[name], other[name]) and all(one[name].meta[key] == other[name].meta[key] for key in COUNTED)
        for name in one
    )


@pytest.mark.parametrize("name", WALKS)
def test_a_fit_killed_again_and_again_ends_with_the_bits_of_one_that_was_not(
    name: str, make_trial: Any, tiny_bert: Path, train: Any, validation: Any, shelf: UnfinishedFits, die_after: Any
) -> None:
    trials = [make_trial(tiny_bert, method, **h) for method, h in WALKS[name]]
    run = die_after(None)
    expected = fit(trials, train, validation, None)
    needed = len(run)
    ended: dict[str, Checkpoint] = {}
    done = 0
    while len(ended) < len(trials):
        run = die_after(1)  # epochs, then it dies
        left = [trial for trial in trials if trial.trial_id not in ended]
        ended |= fit(left, train, validation, saving(shelf))
        done += len(run)
        assert done <= needed + len(trials) - 1, "an epoch that was saved was run again"
    assert alike(ended, expected)


def test_each_of_a_bundle_goes_on_alone_from_what_they_shared(
    make_trial: Any, tiny_bert: Path, train: Any, validation: Any, shelf: UnfinishedFits, die_after: Any
) -> None:
    trials = [make_trial(tiny_bert, method, **h) for method, h in WALKS["longer schedules"][1:]]
    expected = fit(trials, train, validation, None)
    die_after(2)
    assert fit(trials, train, validation, saving(shelf)) == {}
    for trial, epochs in zip(trials, ([2], [2, 3]), strict=True):
        run = die_after(None)
        assert alike(fit([trial], train, validation, saving(shelf)), {trial.trial_id: expected[trial.trial_id]})
        assert run == epochs


@pytest.fixture
def saved_twice(make_trial: Any, tiny_bert: Path, train: Any, validation: Any, shelf: Any, die_after: Any) -> Trial:
    """A trial of four epochs, two of which are on the shelf."""
    [(method, h)] = WALKS["alone"]
    trial: Trial = make_trial(tiny_bert, method, **h)
    die_after(2)
    assert fit([trial], train, validation, saving(shelf)) == {}
    return trial


def test_only_the_newest_state_is_kept_and_none_when_the_fit_has_ended(
    saved_twice: Trial, tmp_path: Path, shelf: UnfinishedFits
) -> None:
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    shelf.remove(["another"])
    assert len(shelf.keys()) == 1
    shelf.remove([saved_twice.trial_id])
    assert list(tmp_path.rglob("*.safetensors")) == []


def test_what_is_stale_is_not_gone_on_from(
    saved_twice: Trial, train: Any, validation: Any, shelf: UnfinishedFits, die_after: Any
) -> None:
    others = {
        "seed": dataclasses.replace(saved_twice, seed=1),
        "trial": dataclasses.replace(saved_twice, trial_id="another"),
        "weights": dataclasses.replace(saved_twice, weights_fingerprint="other"),
        "rows": dataclasses.replace(saved_twice, dataset=dataclasses.replace(saved_twice.dataset, fingerprint="other")),
        "rate": dataclasses.replace(saved_twice, hyperparameters={**saved_twice.hyperparameters, "learning_rate": 0.5}),
    }
    for name, other in others.items():
        run = die_after(1)
        fit([other], train, validation, saving(shelf, every_seconds=60.0, urgent=lambda: False))
        assert run == [0], name
    run = die_after(1)
    fit([saved_twice], train, validation, saving(shelf, basis="other libraries, threads or device"))
    assert run == [0]
    run = die_after(1)
    fit([saved_twice], train, validation, saving(shelf))
    assert run == [2]


def test_another_micro_batch_begins_anew(
    saved_twice: Trial, train: Any, validation: Any, shelf: Any, die_after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = network_fitter.fine_tune
    monkeypatch.setattr(network_fitter, "fine_tune", lambda *given, **more: plain(*given, **{**more, "budget": 64}))
    run = die_after(1)
    fit([saved_twice], train, validation, saving(shelf))
    assert run == [0]


@pytest.mark.parametrize("size", [5, -1])
def test_a_torn_state_is_not_gone_on_from(
    size: int, saved_twice: Trial, train: Any, validation: Any, tmp_path: Path, shelf: Any, die_after: Any
) -> None:
    [path] = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:size])
    run = die_after(None)
    torn = fit([saved_twice], train, validation, saving(shelf))
    assert run == [0, 1, 2, 3]
    assert alike(torn, fit([saved_twice], train, validation, None))


def test_a_short_fit_writes_nothing_but_one_that_is_about_to_go_does(
    make_trial: Any, tiny_bert: Path, train: Any, validation: Any, shelf: UnfinishedFits, die_after: Any
) -> None:
    [(method, h)] = WALKS["alone"]
    trial, written = make_trial(tiny_bert, method, **h), []

    class Watched(UnfinishedFits):
        def write(self, *given: Any) -> None:
            written.append(given[1])
            super().write(*given)

    die_after(None)
    watched = Watched(shelf._files)
    fit([trial], train, validation, saving(watched, every_seconds=30.0, urgent=lambda: False))
    assert written == []
    fit([trial], train, validation, saving(watched, every_seconds=30.0, urgent=lambda: True))
    assert len(written) == 3  # none after the last epoch


def test_a_store_that_takes_nothing_does_not_stop_the_fit(
    make_trial: Any, tiny_bert: Path, train: Any, validation: Any, shelf: UnfinishedFits, die_after: Any
) -> None:
    class Full(UnfinishedFits):
        def keys(self) -> Any:
            raise StoreError("store s3://x: cannot be listed: TimeoutError")

        def write(self, *given: Any) -> None:
            raise StoreFullError("store /x: is full")

    [(method, h)] = WALKS["alone"]
    trial = make_trial(tiny_bert, method, **h)
    die_after(None)
    saved = fit([trial], train, validation, saving(Full(shelf._files)))
    assert alike(saved, fit([trial], train, validation, None))


@pytest.mark.parametrize("name", ["alone", "adapter", "loss scaling"])
def test_a_fit_that_goes_on_as_another_repeats_no_epoch_and_ends_with_the_bits_of_one(
    name: str, make_trial: Any, tiny_bert: Path, train: Any, validation: Any, shelf: UnfinishedFits, die_after: Any
) -> None:
    [(method, h)] = WALKS[name]
    whole = make_trial(tiny_bert, method, **h)
    rungs = [dataclasses.replace(whole, trial_id=f"until-{until}", until=until) for until in (1, 2)]
    expected = fit([whole], train, validation, None)
    shown = {}
    for before, trial, after in zip([None, *rungs], [*rungs, whole], [*rungs[1:], whole, None], strict=True):
        run = die_after(None)
        heirs = {trial.trial_id: after.trial_id} if after is not None else {}
        saved = saving(shelf, every_seconds=1e9, urgent=lambda: False, goes_on_as=heirs)
        shown |= fit([trial], train, validation, saved)
        assert run == list(range(before.until if before else 0, trial.until or h["epochs"]))
        shelf.remove([trial.trial_id])  # as whoever fits does
    assert alike({whole.trial_id: shown[whole.trial_id]}, expected)
    assert not shelf.keys()
    steps = [shown[trial.trial_id].meta["steps"] for trial in (*rungs, whole)]
    assert steps == [epochs * steps[0] for epochs in (1, 2, h["epochs"])]
    assert not same(shown["until-1"], shown["until-2"])
