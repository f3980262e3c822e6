"""Reducing a trial's shards: any order gives the same row, and every example must be there once."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pyarrow as pa
import pytest

from raybench.core import Status
from raybench.core.errors import CoverageError, MergeError
from raybench.metrics import Coverage, MetricSet, StateSet
from raybench.results.reduce import reduce_trial
from raybench.store.shards import ShardCommit
from raybench.store.trials import TrialRow

METRICS = MetricSet(["accuracy"], {"labels": ["a", "b"]})
IDS = [f"e{number}" for number in range(6)]
BLANK = TrialRow(trial_id="t", status=Status.STOPPED)


def commit(start, stop, ids=None):
    ids = IDS[start:stop] if ids is None else ids
    records = pa.table({"id": ids, "target": pa.array([0] * len(ids), pa.int32()), "prediction": [0] * len(ids)})
    return ShardCommit(
        trial_id="t",
        start=start,
        stop=stop,
        num_examples=len(ids),
        states=METRICS.states(records).to_bytes(),
        score_seconds=0.1 * (start + 1),
        wall_seconds=0.0,
        peak_memory_bytes=start,
        device="cpu",
        dtype="float32",
        threads=1,
        cost='{"params_total": 7}' if start == 0 else "{}",
        basis="b",
    )


def reduce(commits):
    return reduce_trial(BLANK, commits, Coverage.of(IDS), {"fit_seconds": 2.0})


def test_any_order_of_shards_gives_the_same_row():
    rows = [reduce(list(order)) for order in itertools.permutations([commit(0, 2), commit(2, 3), commit(3, 6)])]
    assert len({(row.states, row.num_examples, str(row.cost)) for row in rows}) == 1
    assert METRICS.compute(StateSet.from_bytes(rows[0].states))["accuracy"].value == 1.0


def test_cost_is_added_up():
    cost = reduce([commit(0, 3), commit(3, 6)]).cost
    assert (cost["params_total"], cost["fit_seconds"], cost["peak_memory_bytes"]) == (7, 2.0, 3)
    assert cost["score_seconds"] == pytest.approx(0.5)
    assert cost["examples_per_second"] == pytest.approx(12)


def test_a_missing_shard_is_named():
    with pytest.raises(CoverageError, match="3 of 6 examples are missing"):
        reduce([commit(0, 3)])


def test_a_shard_twice_counts_once():
    assert reduce([commit(0, 3), commit(0, 3), commit(3, 6)]).num_examples == 6


def test_the_same_examples_under_other_batches_are_refused():
    with pytest.raises((CoverageError, MergeError)):
        reduce([commit(0, 3), commit(3, 6, ids=IDS[:3])])


def test_shards_of_two_checkpoints_are_refused():
    with pytest.raises(CoverageError, match="its checkpoint was lost"):
        reduce([commit(0, 3), replace(commit(3, 6), basis="another")])


def test_other_examples_are_refused():
    with pytest.raises(CoverageError, match="are not the 6 of the split"):
        reduce([commit(0, 3), commit(3, 6, ids=["x", "y", "z"])])
