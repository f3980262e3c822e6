"""An actor's part of a run, without Ray's part of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch

from raybench.cluster import session as session_module
from raybench.cluster.context import RunContext
from raybench.cluster.session import Session
from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.models.fingerprint import weights_fingerprint
from raybench.planning.plan import FeatureNeeds, PlannedTrial
from raybench.recipes.methods.catalog import get_method
from raybench.results.measure import Measuring
from raybench.runtime.prepare import prepare_data
from raybench.runtime.training import epochs as epochs_module
from raybench.runtime.training import features
from raybench.runtime.trial import Latency, Predictor, fit_trial, open_predictor
from raybench.schedule.retry import Failure, FailureKind
from raybench.schedule.work import Features, Fit, Missing, Prepare, TrialWork
from raybench.store.checkpoints import list_checkpoints, read_metadata
from raybench.store.files import Files
from raybench.store.provenance import library_versions, processor_name
from raybench.store.shards import ShardCommit
from raybench.tasks.catalog import get_task


def planned(trials: dict[str, Trial], train_features: str | None = None) -> dict[str, PlannedTrial]:
    return {
        name: PlannedTrial(
            trial=trial,
            work=TrialWork(trial_id=name, data_key="rows", needs_fit=True, bundle=name, train_features=train_features),
        )
        for name, trial in trials.items()
    }


@pytest.fixture
def session(tmp_path: Path, tiny_bert: Path) -> Session:
    model = ModelSpec(reference=str(tiny_bert))
    task = get_task("text-classification")
    rows = pa.table({"id": list("abcd"), "text": ["w1 w2", "w40", "w3", "w50 w51"], "label": pa.array([0, 1, 0, 1])})
    key = DatasetKey(name="words", task=task.name, labels=("x", "y"), fingerprint="words", max_length=16)
    trials = {
        f"t{decay}": Trial(
            trial_id=f"t{decay}", candidate="frozen", model=model, dataset=key, method="frozen",
            hyperparameters=get_method("frozen").resolve({"weight_decay": decay}), seed=0,
            weights_fingerprint=weights_fingerprint(model),
        )
        for decay in (1, 2)
    }  # fmt: skip
    context = RunContext(store_url=str(tmp_path), planned=planned(trials), data={})
    session = Session(context)
    session._prepared["rows"] = prepare_data(task, {"train": rows, "test": rows}, model, key)
    return session


def fitted_by(session: Session, *trial_ids: str) -> set[str]:
    """Those that did not fail."""
    outcomes = session.fit(trial_ids)
    assert isinstance(outcomes, dict)
    return {name for name, outcome in outcomes.items() if isinstance(outcome, str)}


def test_what_a_dead_actor_fitted_is_not_fitted_again(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fitted_by(session, "t1") == {"t1"}
    fitted: list[str] = []
    fit_in_turn = session_module.fit_in_turn

    def watched(trials: list[Trial], *rest: object, **options: object) -> object:
        fitted.extend(trial.trial_id for trial in trials)
        return fit_in_turn(trials, *rest, **options)

    monkeypatch.setattr(session_module, "fit_in_turn", watched)
    assert fitted_by(session, "t1", "t2") == {"t1", "t2"}
    assert fitted == ["t2"]
    assert list_checkpoints(Files(str(tmp_path))) == {"t1", "t2"}


def test_a_session_that_is_over_holds_nothing_of_what_it_was_given_or_opened(session: Session) -> None:
    assert fitted_by(session, "t1") == {"t1"}
    assert len(session._workspace.networks)
    session.end()
    assert not len(session._workspace.networks)
    assert not session._prepared


def test_features_of_another_actor_are_not_computed_again(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    context = replace(
        session._context,
        features={"net:train": FeatureNeeds(trial_id="t1", split="train", for_scoring=True)},
        planned=planned({name: one.trial for name, one in session._context.planned.items()}, "net:train"),
    )
    one, other = Session(context), Session(context)
    one._prepared = other._prepared = session._prepared
    part = Features(group="net:train", start=0, stop=1)
    computed, failure = one.features(part)
    assert failure is None
    monkeypatch.setattr(session_module.ray, "get", lambda ref: ref)
    monkeypatch.setattr(features, "_forward", lambda *_: pytest.fail("forwarded again"))
    other.held_are_at({"net:train": [(part, [computed])]})
    assert fitted_by(other, "t1", "t2") == {"t1", "t2"}


def test_before_scoring_is_out_of_memory_everything_else_is_let_go(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = Measuring(
        metrics=("accuracy",),
        metric_config={"labels": ["x", "y"]},
        ranked=("accuracy",),
        slices=(),
        measures="accuracy",
        picks="",
        anew=False,
    )
    session._context = replace(session._context, measuring={"words": how})
    assert fitted_by(session, "t1") == {"t1"}
    other = replace(session._context.planned["t2"].trial, weights_fingerprint="other")
    session._workspace.network(other, get_task("text-classification"), own_head=False)
    plain, tried = session_module.score_shard, []

    def full(*given: object) -> object:
        tried.append(len(session._workspace.networks))
        if len(session._workspace.networks) > 1:
            raise torch.OutOfMemoryError("others are in the way")
        return plain(*given)

    monkeypatch.setattr(session_module, "score_shard", full)
    assert isinstance(session.score("t1", 0, 1), ShardCommit)
    assert tried == [2, 1]

    def never(*given: object) -> object:
        raise torch.OutOfMemoryError("it is too large")

    monkeypatch.setattr(session_module, "score_shard", never)
    failure = session.score("t1", 0, 1)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.OOM


def test_an_actor_without_a_gpu_uses_none_and_one_with_a_part_of_one_keeps_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    parts: list[float] = []
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=60 * 10**9))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", parts.append)
    context = RunContext(store_url=str(tmp_path), planned={}, data={})
    assert Session(context)._device.type == "cpu"
    assert Session(replace(context, gpus_per_actor=1.0))._device.type == "cuda"
    assert parts == []
    assert Session(replace(context, gpus_per_actor=0.5))._device.type == "cuda"
    assert parts == [pytest.approx(0.49)]  # of its memory, but for what a process takes besides


def test_latency_is_of_a_trials_own_network(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    method = get_method("lora")
    first = session._context.planned["t1"].trial
    given = {"a": {"rank": 2}, "b": {"rank": 4}, "c": {"rank": 2, "learning_rate": 1e-3}}
    trials = {
        name: replace(first, trial_id=name, method="lora", hyperparameters=method.resolve(h))
        for name, h in given.items()
    }
    session._context = replace(session._context, planned=planned(trials))
    measured: list[int] = []

    def measure(predictor: Predictor, rows: pa.Table) -> Latency:
        measured.append(predictor.cost["params_total"])
        return Latency(1.0 * len(measured), 2.0)

    monkeypatch.setattr(session_module, "measure_latency", measure)
    latencies = []
    for trial in trials.values():
        checkpoint = fit_trial(trial, session._prepared["rows"].train, session._device)
        predictor = open_predictor(trial, checkpoint, session._device)
        latencies.append(session._latency(trial.trial_id, predictor, session._prepared["rows"].test)["latency_p50_ms"])
    assert latencies == [1.0, 2.0, 1.0]
    assert measured[0] < measured[1]


class Killed(BaseException):
    """Ends a fit as a signal does."""


def test_a_fit_goes_on_in_another_process_and_leaves_nothing_but_its_checkpoint(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = get_method("full").resolve({"epochs": 3, "head": "random"})
    trial = replace(session._context.planned["t1"].trial, method="full", hyperparameters=full)
    session._context = replace(session._context, planned=planned({"t1": trial}))
    plain, run = epochs_module.Epochs.epoch, []

    def epoch(self: Any, h: Any, before: Any) -> Any:
        if len(run) == 2:
            raise Killed
        run.append(before.epochs)
        return plain(self, h, before)

    monkeypatch.setattr(epochs_module.Epochs, "epoch", epoch)
    session.leave()  # its node is about to go: it writes after every epoch
    with pytest.raises(Killed):
        session.fit(("t1",))
    assert len(list((tmp_path / "unfinished").iterdir())) == 1
    run.clear()
    other = Session(session._context)
    other._prepared = session._prepared
    assert fitted_by(other, "t1") == {"t1"}
    assert run == [2]
    assert list((tmp_path / "unfinished").iterdir()) == []
    assert list_checkpoints(Files(str(tmp_path))) == {"t1"}


def test_a_fit_says_what_it_was_made_on(session: Session) -> None:
    told = session.fit(("t1",))
    kept = read_metadata(session._files, "t1")["raybench"]
    assert told == session.fit(("t1",)) == {"t1": kept}
    meta = json.loads(kept)
    assert meta["versions"] == library_versions()
    assert (meta["device"], meta["device_name"], meta["dtype"]) == ("cpu", processor_name(), "float32")
    assert meta["threads"] == 1


def test_nothing_is_held_of_rows_and_features_that_nobody_reads(session: Session) -> None:
    needs = {
        f"{name}:{split}": FeatureNeeds(trial_id=name, split=split, for_scoring=True)
        for name in ("t1", "t2")
        for split in ("train", "test")
    }
    dataset = replace(session._context.planned["t2"].trial.dataset, labels=("x", "z"))
    other = replace(session._context.planned["t2"].trial, dataset=dataset)
    session._context = replace(
        session._context, features=needs, planned=session._context.planned | planned({"t2": other})
    )
    for group in needs:
        part = Features(group=group, start=0, stop=1)
        session.features(part)
        session.held_are_at({group: [(part, [None])]})
    assert len(session._workspace.caches) == 2
    session.release(["t1:train"])
    assert len(session._workspace.caches) == 2, "its test rows' features are of the same network"
    session.release(["t1:test"])
    assert len(session._workspace.caches) == 1
    session.release(["t2:train", "t2:test", "rows"])
    assert len(session._workspace.caches) == 0
    assert not session._prepared
    assert not session._held
    assert not session._included


def test_what_is_nowhere_any_more_is_told_and_not_made_by_whoever_misses_it(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(ref: object) -> object:
        raise session_module.ray.exceptions.ObjectLostError("ref", None, "")

    monkeypatch.setattr(session_module.ray, "get", lost)
    measuring = Measuring(
        metrics=("accuracy",), metric_config={"labels": ["x", "y"]}, ranked=("accuracy",), slices=(),
        measures="accuracy", picks="", anew=False,
    )  # fmt: skip
    context = replace(
        session._context,
        features={"net:train": FeatureNeeds(trial_id="t1", split="train", for_scoring=True)},
        planned=planned({name: one.trial for name, one in session._context.planned.items()}, "net:train"),
        measuring={"words": measuring},
    )
    parts = [Features(group="net:train", start=start, stop=start + 1) for start in (0, 1)]
    rows = Prepare(data_key="rows")
    held = {"net:train": [(part, [None]) for part in parts], "rows": [(rows, [None])]}
    actor = Session(context)
    actor.held_are_at(held)
    assert actor.fit(("t1",)) == Missing(parts=(rows,))
    assert actor.features(parts[0]) == (None, Missing(parts=(rows,)))
    actor._prepared = session._prepared
    assert actor.fit(("t1",)) == Missing(parts=tuple(parts))
    assert fitted_by(session, "t1") == {"t1"}
    (tmp_path / "checkpoints" / "trial=t1.safetensors").write_bytes(b"torn")
    for _ in range(2):
        assert actor.score("t1", 0, 1) == Missing(parts=(Fit(trial_ids=("t1",)),))
        (tmp_path / "checkpoints" / "trial=t1.safetensors").unlink(missing_ok=True)
    assert fitted_by(session, "t1") == {"t1"}
    assert isinstance(actor.score("t1", 0, 1), ShardCommit)
