"""Rows of trials: what is read of many, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from raybench.core import Status
from raybench.store import Store
from raybench.store.trials import TrialRow


def test_states_are_held_of_the_trials_that_are_asked_for_alone(tmp_path: Path) -> None:
    log = Store.open(str(tmp_path)).trials
    for part in (["a", "b"], ["c"]):
        log.write(
            [TrialRow(trial_id=name, status=Status.OK, states=name.encode() * 3, cost={"s": 1.0}) for name in part]
        )
    found = log.read(pytest.fail, states_of=["b", "none"])
    assert {name: row.states for name, row in found.items()} == {"a": b"", "b": b"bbb", "c": b""}
    assert {row.cost["s"] for row in found.values()} == {1.0}
    assert {row.states for row in log.read(pytest.fail).values()} == {b"aaa", b"bbb", b"ccc"}
    assert {row.states for row in log.read(pytest.fail, states_of=()).values()} == {b""}
