"""What a run takes over from the store: nothing of another plan, checkpoint or measures."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa
import pytest

from raybench.core import Status
from raybench.planning.resume import FINAL, Found, look_up
from raybench.store import Store
from raybench.store.basis import basis_of
from raybench.store.records import write_records
from raybench.store.shards import ShardCommit


def commit(start, basis):
    return ShardCommit(
        trial_id="t", start=start, stop=start + 1, num_examples=1, states=b"", score_seconds=0.0, wall_seconds=0.0,
        peak_memory_bytes=0, device="cpu", dtype="float32", threads=1, cost="{}", basis=basis,
    )  # fmt: skip


def planned(needs_fit):
    return SimpleNamespace(
        trial=SimpleNamespace(trial_id="t"), work=SimpleNamespace(needs_fit=needs_fit, checkpoint="t")
    )


def found(commits, fitted):
    return Found(rows={}, commits={"t": commits}, fitted=fitted, metas={}, failures={})


BASIS = basis_of(plan="plan", checkpoint="digest", measures="measures")


@pytest.mark.parametrize(
    ("plan", "measures", "fitted", "starts"),
    [
        ("plan", "measures", {"t": "digest"}, [0, 1]),
        ("another plan", "measures", {"t": "digest"}, []),
        ("plan", "one metric more", {"t": "digest"}, []),
        ("plan", "measures", {"t": "of another fit"}, []),
        ("plan", "measures", {}, []),
    ],
)
def test_shards_are_taken_over_on_one_basis_alone(plan, measures, fitted, starts):
    store = found([commit(0, BASIS), commit(0, "older"), commit(1, BASIS)], fitted)
    assert [one.start for one in store.usable(planned(needs_fit=True), plan, measures)] == starts


def test_what_needs_no_fit_needs_no_checkpoint():
    basis = basis_of(plan="plan", checkpoint="", measures="measures")
    assert found([commit(0, basis)], {}).usable(planned(needs_fit=False), "plan", "measures") == [commit(0, basis)]


def test_only_ends_that_would_be_the_same_tomorrow_stand():
    assert {Status.OK, Status.NAN, Status.INCOMPATIBLE} == FINAL


@pytest.mark.parametrize("torn", [False, True])
def test_a_shard_whose_records_are_torn_or_gone_is_scored_again(tmp_path, torn):
    store, skipped = Store.open(str(tmp_path)), {}
    for start in range(3):
        records = pa.table({"id": [f"{start}"], "target": [0], "prediction": [0]})
        write_records(store.files, "t", "basis", start, start + 1, records)
        store.shards.append(commit(start, "basis"))
    store.write(store.take())
    (path,) = tmp_path.rglob("*00000001-00000002.parquet")
    if torn:
        path.write_bytes(path.read_bytes()[:-9])
    else:
        path.unlink()
    trial, work = SimpleNamespace(trial_id="t"), SimpleNamespace(checkpoint="t")
    one = SimpleNamespace(trial=trial, problem=None, work=work, race="")
    plan = SimpleNamespace(trials=[one], offered=(), races={})
    found = look_up(plan, store, skipped.__setitem__)
    assert [one.start for one in found.commits["t"]] == [0, 2]
    assert [reason.endswith("scored again") for reason in skipped.values()] == [True] * torn
