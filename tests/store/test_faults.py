"""Faults of the world: those that pass change nothing, a full disk is one line and leaves nothing half written."""

from __future__ import annotations

import errno
import os

import pyarrow as pa
import pytest

from raybench.core import Status
from raybench.core.errors import StoreError, StoreFullError
from raybench.schedule.classify import classify
from raybench.store import Store
from raybench.store.checkpoints import is_intact, read_digest
from raybench.store.disk import list_files, write_atomically
from raybench.store.files import Files
from raybench.store.records import compact_records, read_records, write_records
from raybench.store.runs import RunDirectory
from raybench.store.shards import ShardLog
from raybench.store.trials import TrialLog, TrialRow

NUM_CALLS = 20  # more than the story below makes


def story(files):
    """A bit of everything a run does to its store; what it reads in the end."""
    for part in range(6):
        write_records(files, "t", "b", part, part + 1, pa.table({"id": [f"{part}"], "prediction": [part]}))
    trials = TrialLog(files)
    trials.write([TrialRow(trial_id="t", status=Status.OK, finished_at=1.0)])
    compact_records(files, "t", "b", pytest.fail)
    return trials.read(pytest.fail), read_records(files, "t", "b", pytest.fail)


@pytest.mark.parametrize("at", range(NUM_CALLS))
@pytest.mark.parametrize("error", [OSError(errno.EBUSY, "busy"), ConnectionResetError("reset")], ids=["busy", "reset"])
def test_a_blip_at_any_call_changes_nothing(faulty, at, error):
    waits = []
    assert story(faulty(lambda number, name: error if number == at else None, waits)) == story(Files("memory://calm"))
    assert len(waits) == 1


@pytest.mark.parametrize("at", range(9))  # the joined file is the eighth
def test_a_disk_that_is_full_from_any_call_on_is_one_line(faulty, at):
    def full(number, name):
        return OSError(errno.ENOSPC, "No space left on device") if number >= at and name == "pipe_file" else None

    waits = []
    with pytest.raises(StoreFullError, match=r"^store faulty://store: is full \(No space left on device\); make room"):
        story(faulty(full, waits))
    assert 0 < sum(waits) < 10, "somebody may be clearing up"


def test_a_store_out_of_reach_is_not_taken_for_a_torn_one(faulty):
    files = faulty(lambda number, name: None)
    write_records(files, "t", "b", 0, 1, pa.table({"id": ["a"]}))
    TrialLog(files).write([TrialRow(trial_id="t", status=Status.OK)])
    files.write("checkpoints/trial=t.safetensors", b"\x02\0\0\0\0\0\0\0{}")
    files.write("runs/r/progress.json", b"{}")
    files = faulty(lambda number, name: TimeoutError("no answer"))
    reads = [
        lambda: TrialLog(files).read(pytest.fail),
        lambda: ShardLog(files).read("t", pytest.fail),
        lambda: read_records(files, "t", "b", pytest.fail),
        lambda: is_intact(files, "t"),
        lambda: read_digest(files, "t"),
        lambda: RunDirectory(files=files, run_id="r").read_json("progress.json"),
    ]
    for read in reads:
        with pytest.raises(StoreError, match=r"^store faulty://store: .* cannot be read: TimeoutError: no answer$"):
            read()


def test_a_full_store_ends_the_run_and_one_out_of_reach_the_try(faulty):
    def failure(error):
        with pytest.raises(StoreError) as raised:
            faulty(lambda number, name: error).write("a", b"")
        return classify(raised.value)

    assert failure(OSError(errno.EDQUOT, "Quota exceeded")).ends_run
    assert not failure(TimeoutError()).ends_run
    assert failure(TimeoutError()).kind == "transient"


def test_a_write_to_a_full_disk_leaves_no_unfinished_file(mount_disk):
    small_disk = mount_disk("64k")
    files = Files(str(small_disk), pause=lambda seconds: None)
    files.write("a/small", b"x" * 1024)
    with pytest.raises(StoreFullError, match="No space left on device"):
        files.write("a/large", b"x" * 100_000)
    assert [*list_files(str(small_disk))] == [f"{small_disk}/a/small"]
    files.write("a/after", b"x" * 1024)  # what room there is serves


def test_a_write_that_is_interrupted_leaves_no_unfinished_file(tmp_path, monkeypatch):
    def interrupt(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(f"{tmp_path}/a/b", b"x")
    assert [*list_files(str(tmp_path))] == []


def test_a_folder_removed_while_it_is_written_to_is_made_again(tmp_path, monkeypatch):
    makedirs, times = os.makedirs, []

    def made_and_gone(path, exist_ok):
        times.append(path)
        if len(times) > 2:
            makedirs(path, exist_ok=exist_ok)

    monkeypatch.setattr(os, "makedirs", made_and_gone)
    write_atomically(f"{tmp_path}/a/b", b"x")
    assert (tmp_path / "a" / "b").read_bytes() == b"x"


def test_a_listing_outlives_what_goes_meanwhile(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"")
    found = []
    for path in list_files(str(tmp_path)):
        found.append(path)
        for other in "abc":  # removed under the walk
            (tmp_path / other / "file").unlink(missing_ok=True)
    assert len(found) == 1
    assert [*list_files(str(tmp_path / "nowhere"))] == []


def test_a_store_on_a_disk_that_cannot_be_listed_says_so(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    store = Store.open(str(tmp_path))
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StoreError, match="trials cannot be read: PermissionError"):
        store.trials.read(pytest.fail)
