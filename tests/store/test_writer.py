"""Writing beside the loop: nothing is lost, errors come back to it, and cleaning costs no run."""

from __future__ import annotations

import threading

import pytest

from raybench.core import Status
from raybench.core.errors import StoreError
from raybench.store import Store
from raybench.store import writer as writer_module
from raybench.store.files import Files
from raybench.store.shards import ShardCommit, ShardLog
from raybench.store.trials import TrialLog, TrialRow
from raybench.store.writer import Writer


class Gated(Files):
    """Writes wait until they may."""

    def __init__(self, url):
        super().__init__(url)
        self.gate, self.error, self.num_writes = threading.Event(), None, 0

    def write(self, relative, data, **options):
        assert self.gate.wait(20)
        self.num_writes += 1
        if self.error is not None:
            raise self.error
        super().write(relative, data, **options)


@pytest.fixture
def store(tmp_path):
    files = Gated(str(tmp_path))
    return Store(files=files, shards=ShardLog(files), trials=TrialLog(files))


def row(name):
    return TrialRow(trial_id=name, status=Status.OK, finished_at=1.0)


def commit(start, num_bytes):
    return ShardCommit(
        trial_id="t", start=start, stop=start + 1, num_examples=1, states=b"x" * num_bytes, score_seconds=0.0,
        wall_seconds=0.0, peak_memory_bytes=0, device="cpu", dtype="float32", threads=1, cost="{}", basis="b",
    )  # fmt: skip


def test_the_loop_does_not_wait_for_a_slow_store_and_nothing_is_lost(store):
    with Writer(store, pytest.fail, lambda: None) as writer:
        for number in range(10):
            store.trials.append(row(f"t{number}"))
            writer.turn()
        assert store.trials.read(pytest.fail) == {}, "not one write has come through yet"
        store.files.gate.set()
    assert len(store.trials.read(pytest.fail)) == 10
    assert len(store.files.find("trials", ".parquet")) == 2, "what came in meanwhile is one file"


def test_a_loop_far_ahead_of_its_store_waits(store):
    opened = threading.Timer(0.2, store.files.gate.set)
    opened.start()
    with Writer(store, pytest.fail, lambda: None) as writer:
        for number in range(100):
            store.trials.append(row(f"t{number}"))
            writer.turn()
        assert store.files.gate.is_set()
    assert len(store.trials.read(pytest.fail)) == 100


def test_a_loop_waits_at_once_where_many_states_are_pending(store, monkeypatch):
    monkeypatch.setattr(writer_module, "_MOST_BYTES", 1000)
    opened = threading.Timer(0.2, store.files.gate.set)
    opened.start()
    with Writer(store, pytest.fail, lambda: None) as writer:
        store.shards.append(commit(0, 999))
        writer.turn()
        store.shards.append(commit(1, 999))
        writer.turn()
        assert not store.files.gate.is_set()
        store.shards.append(commit(2, 1))
        writer.turn()
        assert store.files.gate.is_set()
    assert [one.start for one in store.shards.read("t", pytest.fail)] == [0, 1, 2]


def test_what_could_not_be_written_is_raised_in_the_loop_once(store):
    store.files.error = StoreError("store x: out of reach")
    store.files.gate.set()

    def loop():
        with Writer(store, pytest.fail, lambda: None) as writer:
            for _ in range(1000):
                store.trials.append(row("t"))
                writer.turn()

    with pytest.raises(StoreError, match="out of reach"):
        loop()
    assert store.files.num_writes == 1, "no second attempt, nor one on the way out"


def test_a_cleaner_that_fails_is_a_warning(store, monkeypatch):
    def refuse(*arguments):
        raise OSError("not today")

    monkeypatch.setattr(writer_module, "compact_records", refuse)
    store.files.gate.set()
    notes = {}
    with Writer(store, notes.__setitem__, lambda: None) as writer:
        store.trials.append(row("t"))
        writer.ended(row("t"), "t")
    assert notes == {
        "trials: t": "not cleaned up after it ended (OSError: not today); the next run does it, or `raybench clean`"
    }
    assert store.trials.read(pytest.fail).keys() == {"t"}


def test_a_run_whose_trials_are_another_one_s_writes_no_end_and_removes_nothing(store, monkeypatch):
    def taken():
        raise StoreError("another one goes on")

    monkeypatch.setattr(writer_module, "clean_up", pytest.fail)
    store.files.gate.set()

    def loop():
        with Writer(store, pytest.fail, taken) as writer:
            store.trials.append(row("t"))
            writer.ended(row("t"), "t")

    with pytest.raises(StoreError, match="another one goes on"):
        loop()
    assert store.trials.read(pytest.fail) == {}
