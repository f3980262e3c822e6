"""`raybench clean` removes what nobody needs and nothing else: never what a living run holds."""

from __future__ import annotations

import os
import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from raybench.core import Status
from raybench.report.clean_table import clean, size_text
from raybench.store import Store
from raybench.store.clean import remove, survey
from raybench.store.files import Entry, Files
from raybench.store.garbage import StoreState, find_garbage, trial_of
from raybench.store.leases import Lease
from raybench.store.records import read_records, write_records
from raybench.store.shards import ShardCommit
from raybench.store.trials import TrialRow

DAY = 86400.0
FOREIGN = ["notes.txt", "records/mine.parquet", "checkpoints/notes.md", "records/trial=a/notes.txt", "shards/trial="]
names = st.sampled_from(["a", "b", "c"])
paths = st.one_of(
    st.builds("checkpoints/trial={}.safetensors".format, names),
    st.builds("unfinished/trial={}.0f.safetensors".format, names),
    st.builds("shards/trial={}/part-0.parquet".format, names),
    st.builds("records/trial={}/part-{}-00000000-00000004.parquet".format, names, st.sampled_from(["new", "old"])),
    st.builds("records/trial={}/.0f.tmp".format, names),
    st.builds("leases/0000000{}-x.{}".format, st.integers(1, 3), st.sampled_from(["json", "beat"])),
    st.sampled_from(["trials/part-1.parquet", "runs/r/ranking.parquet", "runs/r/driver-0f", ".probe-0f.tmp", *FOREIGN]),
)
listings = st.lists(st.builds(Entry, paths, st.integers(0, 9), st.floats(0, 30 * DAY)), unique_by=lambda one: one.path)
states = st.builds(
    StoreState,
    now=st.just(30 * DAY),
    ended=st.dictionaries(names, st.sampled_from(["new", None, ""])),
    held=st.frozensets(names),
    running=st.frozensets(st.just("r")),
    dead_leases=st.frozensets(st.sampled_from(["00000001-x"])),
    living_leases=st.frozensets(st.sampled_from(["00000002-x"])),
)


@given(listings, states)
def test_only_what_nobody_needs_is_garbage(entries, state):
    garbage = {waste.path for waste in find_garbage(entries, state)}
    assert garbage <= {entry.path for entry in entries}
    modified = {entry.path: entry.modified for entry in entries}
    for path in garbage:
        trial_id = trial_of(path)
        assert trial_id not in state.held
        assert not path.startswith(("trials/", "runs/r/ranking")), "results stay"
        assert path not in FOREIGN
        assert path.partition("/")[2].partition(".")[0] not in state.living_leases
        if trial_id is not None and trial_id not in state.ended:
            assert state.now - modified[path] > 7 * DAY
        if path.startswith("records/") and path.endswith(".parquet") and state.ended.get(trial_id) == "new":
            assert "part-old" in path
        if path == "runs/r/driver-0f":
            assert "r" not in state.running


@given(listings, states)
def test_whatever_a_trial_left_that_ended_or_was_given_up_is_garbage(entries, state):
    garbage = {waste.path for waste in find_garbage(entries, state)}
    for entry in entries:
        trial_id = trial_of(entry.path)
        if trial_id is None or trial_id in state.held or entry.path.startswith("records/"):
            continue
        last = max(other.modified for other in entries if trial_of(other.path) == trial_id)
        may_be_read = entry.path.startswith("checkpoints/") and state.ended.get(trial_id) is not None
        is_done = trial_id in state.ended and not may_be_read
        assert (entry.path in garbage) == (is_done or state.now - last > 7 * DAY)


def aged(store, folder, days):
    then = time.time() - days * DAY
    for base, _, found in os.walk(store.files.path(folder)):
        for name in found:
            os.utime(f"{base}/{name}", (then, then))


def commit(trial_id):
    return ShardCommit(
        trial_id=trial_id, start=0, stop=1, num_examples=1, states=b"", score_seconds=0.0, wall_seconds=0.0,
        peak_memory_bytes=0, device="cpu", dtype="float32", threads=1, cost="{}", basis="b",
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    """One trial that ended and one given up, each with leftovers of a crash; one that was stopped just now."""
    store = Store.open(str(tmp_path / "store"))
    for name in ("ended", "given-up", "stopped"):
        write_records(store.files, name, "b", 0, 1, pa.table({"id": ["x"], "prediction": [1]}))
        store.files.write(f"checkpoints/trial={name}.safetensors", b"x" * 1000)
        store.shards.append(commit(name))
    write_records(store.files, "ended", "old", 0, 1, pa.table({"id": ["x"], "prediction": [0]}))
    store.trials.append(
        TrialRow(trial_id="ended", status=Status.OK, num_examples=1, provenance={"basis": "b"}, finished_at=1.0)
    )
    store.trials.append(TrialRow(trial_id="stopped", status=Status.FAILED, finished_at=1.0))
    store.flush()
    store.run("r").write_text("job.yaml", "name: x")
    store.files.write("trials/.0f.tmp", b"half")
    aged(store, "", days=8)
    store.files.write("checkpoints/trial=stopped.safetensors", b"x" * 1000)  # the trial was touched just now
    return store


def said(store, **options):
    console = Console(record=True, width=200, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        clean(store.files.url, pytest.fail, **{"yes": False, "older_than_days": 7.0} | options, console=console)
        return console.export_text()


def test_what_has_just_been_fitted_stays_for_trials_that_are_scored_by_it_on_other_rows(store):
    checkpoint = "checkpoints/trial=ended.safetensors"
    store.files.write(checkpoint, b"x" * 1000)
    said(store, yes=True)
    assert checkpoint in {entry.path for entry in store.files.entries()}
    aged(store, "", days=8)
    said(store, yes=True)
    assert checkpoint not in {entry.path for entry in store.files.entries()}


def test_it_says_what_would_go_and_does_it_only_when_told(store):
    before = store.files.entries()
    told = said(store)
    assert store.files.entries() == before
    assert f"`raybench clean {store.files.url} --yes` removes them" in told
    rows, records = store.trials.read(pytest.fail), read_records(store.files, "ended", "b", pytest.fail)
    done = said(store, yes=True)
    assert done.splitlines()[:-1] == told.splitlines()[:-1]
    assert done.splitlines()[-1].endswith("in all, removed")
    left = {entry.path for entry in store.files.entries()}
    assert {path.partition("/")[0] for path in left if "stopped" not in path} == {"trials", "runs", "records"}
    assert {path for path in left if "stopped" in path} == {one.path for one in before if "stopped" in one.path}
    assert store.shards.trials() == {"stopped"}
    assert store.trials.read(pytest.fail) == rows
    assert read_records(store.files, "ended", "b", pytest.fail) == records
    assert read_records(store.files, "ended", "old", pytest.fail) is None
    assert "nothing to clean" in said(store)


def test_what_a_living_run_holds_is_left_alone_and_said(store):
    with Lease(store.files, "r", ["given-up", "ended"]):
        done = said(store, yes=True)
        assert f"left alone: 2 trials of process {os.getpid()} on " in done
        assert "     1 files        4 B  in all, removed" in done
    assert store.shards.trials() == {"ended", "given-up", "stopped"}


def test_a_run_that_begins_while_it_is_looked_at_keeps_what_it_holds(store):
    found = survey(store, pytest.fail)
    with Lease(store.files, "r", ["ended"]):
        assert not any("ended" in waste.path for waste in remove(store, found, pytest.fail))


def test_a_trial_that_ends_between_the_look_and_the_removal_keeps_its_records(store):
    found = survey(store, pytest.fail)
    store.trials.append(TrialRow(trial_id="given-up", status=Status.OK, num_examples=1, provenance={"basis": "b"}))
    store.flush()
    remove(store, found, pytest.fail)
    assert read_records(store.files, "given-up", "b", pytest.fail).num_rows == 1


def test_the_lease_of_a_run_that_was_killed_is_garbage(tmp_path):
    files = Files(str(tmp_path))
    lease = Lease(files, "r", ["a"])
    lease.__enter__()
    (path,) = files.find("leases", ".json")
    files.write(path, files.read(path).replace(b'"began": "', b'"began": "9'))  # of a process that is no more
    store = Store.open(str(tmp_path))
    assert [waste.why for waste in survey(store, pytest.fail).garbage] == ["leases of runs that are gone"]
    files.write(path, b"torn")
    files.write("leases/notes.json", b"{}")
    assert survey(store, pytest.fail).garbage == [], "it may be a write under way"
    aged(store, "leases", days=1)
    assert [waste.path for waste in survey(store, pytest.fail).garbage] == [path]
    lease.__exit__(None, None, None)


def test_sizes_read_well():
    said = [size_text(size) for size in (0, 999, 1000, 1_234_567, 5e12)]
    assert said == ["0 B", "999 B", "1.0 kB", "1.2 MB", "5.0 TB"]
