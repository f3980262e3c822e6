"""Files of a store: whole or not at all; torn and foreign ones are named and skipped."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raybench.core import Status
from raybench.core.errors import StoreError
from raybench.store import Store
from raybench.store.basis import basis_of, measures_of
from raybench.store.checkpoints import is_intact, list_checkpoints, read_metadata, write_checkpoint
from raybench.store.files import Files
from raybench.store.records import compact_records, count_records, list_records, read_records, write_records
from raybench.store.shards import ShardCommit, disjoint, usable
from raybench.store.trials import TrialRow

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(params=["disk", "memory"])
def store(request, tmp_path):
    """The same store on a disk and on an object store's interface."""
    store = Store.open(str(tmp_path / "s") if request.param == "disk" else f"memory://{tmp_path.name}")
    yield store
    store.files.remove("")


def count(store, trial_id, basis, skipped):
    return count_records(store.files, trial_id, list_records(store.files).get(trial_id, []), basis, skipped)


@pytest.fixture
def notes():
    return []


@pytest.fixture
def skipped(notes):
    return lambda path, reason: notes.append((path, reason))


def commit(start, stop, trial_id="t", states=b"x"):
    return ShardCommit(
        trial_id=trial_id, start=start, stop=stop, num_examples=stop - start, states=states, score_seconds=0.5,
        wall_seconds=0.5,        peak_memory_bytes=1, device="cpu", dtype="float32", threads=1, cost="{}", basis="b",
    )  # fmt: skip


def test_commits_come_back_in_canonical_order(store, skipped, notes):
    for start in (4, 0, 2):
        store.shards.append(commit(start, start + 2))
        store.flush()
    assert [one.start for one in store.shards.read("t", skipped)] == [0, 2, 4]
    assert store.shards.trials() == {"t"}
    assert notes == []


def test_what_is_not_flushed_is_not_there(store, skipped):
    store.shards.append(commit(0, 2))
    assert store.shards.read("t", skipped) == []


def test_a_shard_committed_twice_counts_once():
    assert disjoint([commit(0, 2), commit(0, 2), commit(2, 4)]) == [commit(0, 2), commit(2, 4)]


def test_overlapping_commits_leave_no_batch_twice():
    kept = disjoint([commit(0, 4), commit(2, 6), commit(4, 8)])
    assert [(one.start, one.stop) for one in kept] == [(0, 4), (4, 8)]


def test_a_torn_file_is_named_and_skipped(store, skipped, notes):
    store.shards.append(commit(0, 2))
    store.flush()
    (path,) = store.files.find("shards", ".parquet")
    whole = store.files.read(path)
    store.files.write("shards/trial=t/part-torn.parquet", whole[: len(whole) // 2])
    assert store.shards.read("t", skipped) == [commit(0, 2)]
    assert [name for name, _ in notes] == ["shards/trial=t/part-torn.parquet"]
    assert "torn" in notes[0][1]


def test_a_foreign_file_is_named_and_skipped(store, skipped, notes):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), sink)
    store.files.write("trials/notes.parquet", sink.getvalue().to_pybytes())
    assert store.trials.read(skipped) == {}
    assert notes == [("trials/notes.parquet", "not a trials file of raybench")]


def test_an_unfinished_write_is_not_seen(tmp_path, skipped, notes):
    store = Store.open(str(tmp_path))
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / ".abc.tmp").write_bytes(b"half")
    assert store.trials.read(skipped) == {}
    assert notes == []


def test_the_latest_row_of_a_trial_counts(store, skipped):
    for status, at in ((Status.FAILED, 1.0), (Status.OK, 2.0)):
        store.trials.append(TrialRow(trial_id="t", status=status, finished_at=at, cost={"fit_seconds": 1.5}))
        store.flush()
    row = store.trials.read(skipped)["t"]
    assert (row.status, row.cost) == (Status.OK, {"fit_seconds": 1.5})


def test_compacting_trials_keeps_every_latest_row_and_foreign_files(store, skipped):
    for number in range(70):
        store.trials.append(TrialRow(trial_id=f"t{number % 50}", status=Status.OK, finished_at=float(number)))
        store.flush()
    store.files.write("trials/foreign.parquet", b"PAR1")
    store.trials.compact(skipped)
    assert len(store.trials.read(skipped)) == 50
    assert len(store.files.find("trials", ".parquet")) == 2


def test_records_come_back_by_id_each_once(store, skipped):
    write_records(store.files, "t", "b", 1, 4, pa.table({"id": ["c", "a"], "prediction": [1, 2]}))
    write_records(store.files, "t", "b", 0, 2, pa.table({"id": ["b", "a"], "prediction": [3, 2]}))
    table = read_records(store.files, "t", "b", skipped)
    assert table.to_pydict() == {"id": ["a", "b", "c"], "prediction": [2, 3, 1]}
    assert count(store, "t", "b", skipped) == 3
    assert count(store, "other", "b", skipped) == 0


def test_compacting_records_changes_nothing_read(store, skipped):
    for part in range(8):
        write_records(store.files, "t", "b", part, part + 1, pa.table({"id": [f"{part}"], "prediction": [part]}))
    before = read_records(store.files, "t", "b", skipped)
    compact_records(store.files, "t", "b", skipped)
    assert len(store.files.find("records", ".parquet")) == 1
    assert read_records(store.files, "t", "b", skipped) == before


def test_records_on_another_basis_are_not_read_and_go_with_the_others(store, skipped):
    write_records(store.files, "t", "old", 0, 2, pa.table({"id": ["a", "b"], "prediction": [0, 0]}))
    write_records(store.files, "t", "b", 0, 1, pa.table({"id": ["a"], "prediction": [1]}))
    write_records(store.files, "t", "b", 1, 2, pa.table({"id": ["b"], "prediction": [1]}))
    assert read_records(store.files, "t", "b", skipped).column("prediction").to_pylist() == [1, 1]
    compact_records(store.files, "t", "b", skipped)
    assert count(store, "t", "old", skipped) == 0
    assert count(store, "t", "b", skipped) == 2


def test_commits_on_another_basis_are_put_aside_even_where_they_overlap():
    old = [replace(commit(0, 4), basis="old"), replace(commit(4, 8), basis="old")]
    new = [commit(0, 2), commit(2, 4)]
    assert usable([*old, *new], "b") == new
    assert usable(old, "b") == []


def test_a_basis_names_plan_checkpoint_and_measures():
    measures = measures_of(["accuracy"], {"labels": ["a", "b"]}, {})
    known = {"plan": "p", "checkpoint": "c", "measures": measures}
    other = measures_of(["accuracy", "mcc"], {"labels": ["a", "b"]}, {})
    changed = [{"plan": "q"}, {"checkpoint": ""}, {"measures": other}]
    assert len({basis_of(**known), *(basis_of(**known | change) for change in changed)}) == 4
    assert measures_of(["mcc", "accuracy"], {"labels": ["a", "b"]}, {}) == other, "in whatever order they are named"
    code = [measures_of(["own:M"], {}, {"own:M": source}) for source in ("before", "after")]
    assert code[0] != code[1]


def test_a_torn_checkpoint_is_told_from_a_whole_one(store):
    from safetensors.numpy import save

    data = save({"weight": __import__("numpy").arange(100.0)}, metadata={"meta": "{}"})
    write_checkpoint(store.files, "whole", data)
    write_checkpoint(store.files, "torn", data[:-8])
    write_checkpoint(store.files, "tiny", b"abc")
    assert list_checkpoints(store.files) == {"whole", "torn", "tiny"}
    names = ("whole", "torn", "tiny", "gone")
    assert [is_intact(store.files, name) for name in names] == [True, False, False, None]
    assert read_metadata(store.files, "whole") == {"meta": "{}"}


def test_an_unwritable_store_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"^store .*file/below: cannot be written \(.*\); name another with `store:`$"):
        Files(str(tmp_path / "file" / "below")).check_writable()


def test_an_unknown_scheme_is_one_line():
    with pytest.raises(StoreError, match=r"^store nowhere://x: "):
        Files("nowhere://x")
