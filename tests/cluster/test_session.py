"""An actor's part of a run, without Ray's part of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from raybench.cluster import session as session_module
from raybench.cluster.context import RunContext
from raybench.cluster.session import Session
from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.methods.catalog import get_method
from raybench.plan import FeatureNeeds
from raybench.prepare import prepare_data
from raybench.store.checkpoints import list_checkpoints
from raybench.store.files import Files
from raybench.tasks.catalog import get_task
from raybench.training import features
from raybench.training.feature_cache import FEATURES


@pytest.fixture
def session(tmp_path: Path, tiny_bert: Path) -> Session:
    model = ModelSpec(reference=str(tiny_bert))
    task = get_task("text-classification")
    rows = pa.table({"id": list("abcd"), "text": ["w1 w2", "w40", "w3", "w50 w51"], "label": pa.array([0, 1, 0, 1])})
    key = DatasetKey(name="words", task=task.name, labels=("x", "y"), fingerprint="words", max_length=16)
    trials = {
        f"t{decay}": Trial(
            trial_id=f"t{decay}", candidate="frozen", model=model, dataset=key, method="frozen",
            hyperparameters=get_method("frozen").resolve({"weight_decay": decay}), seed=0, weights_fingerprint="tiny",
        )
        for decay in (1, 2)
    }  # fmt: skip
    context = RunContext(
        store_url=str(tmp_path), trials=trials, data={}, data_keys=dict.fromkeys(trials, "rows"),
        groups=dict.fromkeys(trials, ()),
    )  # fmt: skip
    session = Session(context)
    session._prepared["rows"] = prepare_data(task, {"train": rows, "test": rows}, model, 16)
    return session


def test_what_a_dead_actor_fitted_is_not_fitted_again(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session.fit(("t1",), None) == {}
    fitted: list[str] = []
    fit_in_turn = session_module.fit_in_turn

    def watched(trials: list[Trial], *rest: object, **options: object) -> object:
        fitted.extend(trial.trial_id for trial in trials)
        return fit_in_turn(trials, *rest, **options)

    monkeypatch.setattr(session_module, "fit_in_turn", watched)
    assert session.fit(("t1", "t2"), None) == {}
    assert fitted == ["t2"]
    assert list_checkpoints(Files(str(tmp_path))) == {"t1", "t2"}


def test_features_of_another_actor_are_not_computed_again(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    context = replace(
        session._context,
        features={"net:train": FeatureNeeds(trial_id="t1", split="train", for_scoring=True)},
        groups={"t1": ("net:train",), "t2": ("net:train",)},
    )
    one, other = Session(context), Session(context)
    one._prepared = other._prepared = session._prepared
    FEATURES.clear()
    part, failure = one.features("net:train", 0, 1, None)
    assert failure is None
    FEATURES.clear()  # as in another process
    monkeypatch.setattr(session_module.ray, "get", lambda ref: ref)
    monkeypatch.setattr(features, "_forward", lambda *_: pytest.fail("forwarded again"))
    other.features_are_at({"net:train": [(0, 1, [part])]})
    assert other.fit(("t1", "t2"), None) == {}
