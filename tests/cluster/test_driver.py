"""The driver's loop over a pool in memory: what can happen in one moment, and what is written when."""

from __future__ import annotations

import threading
from dataclasses import replace

import pyarrow as pa
import pytest

from raybench.cluster.deadline import Deadline
from raybench.cluster.driver import Driver
from raybench.cluster.observer import Observer
from raybench.core import DatasetKey, ModelSpec, Shard, Status, Trial
from raybench.metrics import Coverage, MetricSet
from raybench.planning.plan import PlannedTrial
from raybench.results import ledger as ledger_module
from raybench.results.ledger import Ledger
from raybench.results.racing import Races
from raybench.schedule.queue import Queue
from raybench.schedule.retry import Failure, FailureKind
from raybench.schedule.work import ActorReady, Fit, Fitted, Lost, Prepare, Prepared, Scored, TrialWork
from raybench.store import Store
from raybench.store.checkpoints import list_checkpoints, write_checkpoint
from raybench.store.files import Files
from raybench.store.shards import ShardCommit, ShardLog, usable
from raybench.store.trials import TrialLog

METRICS = MetricSet(["accuracy"], {"labels": ["a", "b"]})
NUM_SHARDS = 6


def commit(shard):
    ids = [f"{shard.start}"]
    records = pa.table({"id": ids, "target": pa.array([0], pa.int32()), "prediction": pa.array([0], pa.int32())})
    return ShardCommit(
        trial_id=shard.trial_id, start=shard.start, stop=shard.stop, num_examples=1,
        states=METRICS.states(records).to_bytes(), score_seconds=1.0, wall_seconds=1.0, peak_memory_bytes=0,
        device="cpu", dtype="float32", threads=1, cost="{}", basis="b",
    )  # fmt: skip


class FakePool:
    """Answers every call at the next wait; the first actor dies in the very moment its first shard is in."""

    def __init__(self, interrupt_after=None):
        self.alive, self.calls, self.commits, self.num_deaths = set(), [], [], 0
        self.interrupt_after = interrupt_after
        self.released, self.scored = [], []

    def start(self, actor, delay_seconds):
        self.alive.add(actor)
        self.calls.append((actor, ()))

    def send(self, actor, work, reads):
        assert actor in self.alive, "work sent to a dead actor"
        self.calls.append((actor, tuple(work)))

    def stop(self, actor):
        self.alive.discard(actor)

    def unplaced(self):
        return None

    def release(self, keys):
        self.released += keys

    def measure(self, rows, stopped):
        assert self.alive, "measured by actors, so before they are ended"
        self.asked = [row.trial_id for row in rows]
        return dict.fromkeys(self.asked, "measured")

    def moments(self):
        assert self.alive, "asked of actors, so before they are ended"
        return [("fit", 1.0)]

    def keep_idle(self):
        return []

    def stop_all(self):
        self.alive.clear()

    def take_commits(self):
        commits, self.commits = self.commits, []
        return commits

    def wait(self, timeout):
        calls, self.calls, events = self.calls, [], []
        for actor, work in calls:
            if actor not in self.alive:
                continue
            if not work:
                events.append(ActorReady(actor=actor))
            for piece in work:
                if isinstance(piece, Prepare):
                    events.append(Prepared(actor=actor, data_key=piece.data_key, num_batches=NUM_SHARDS))
                if isinstance(piece, Fit):
                    metas = dict.fromkeys(piece.trial_ids, '{"fit_seconds": 7.0}')
                    events.append(Fitted(actor=actor, work=piece, metas=metas))
                if isinstance(piece, Shard):
                    if self.interrupt_after == piece.start:
                        raise KeyboardInterrupt
                    self.commits.append(commit(piece))
                    self.scored.append(piece.start)
                    events.append(Scored(actor=actor, shard=piece))
                    if self.num_deaths == 0:
                        self.num_deaths = 1
                        self.alive.discard(actor)
                        events.append(Lost(actor=actor, failure=Failure(kind=FailureKind.DIED, message="gone")))
                        break
        return events


def driver(
    store, pool, num_expected=NUM_SHARDS, found=lambda planned, plan: [], deadline=None, needs_fit=False, fitted=None
):
    work = TrialWork(trial_id="t", data_key="d", needs_fit=needs_fit, bundle="t")
    key = DatasetKey(name="words", task="text-classification", labels=(), fingerprint="", max_length=1)
    trial = Trial(
        trial_id="t", candidate="t", model=ModelSpec(reference="m"), dataset=key, method="none", hyperparameters={},
        seed=0, weights_fingerprint="",
    )  # fmt: skip
    planned = PlannedTrial(trial=trial, work=work, race="of all")
    ledger = Ledger(
        {"t": planned},
        expected={"words": Coverage.of([f"{number}" for number in range(num_expected)])},
        usable=found,
        metas={} if fitted is None else {"t": fitted},
        store=store,
        skipped=pytest.fail,
        check=lambda: None,
    )
    todo = work if fitted is None else replace(work, needs_fit=False)
    queue = Queue([todo], num_actors=1, shard_batches=1)
    races = Races({}, {}, {}, {"t"}, store.files, pytest.fail)
    return Driver(queue=queue, pool=pool, ledger=ledger, observer=Observer(), races=races, deadline=deadline)


def test_an_actor_that_dies_as_its_shard_comes_in_is_sent_nothing_more(tmp_path):
    store = Store.open(str(tmp_path))
    pool = FakePool()
    run = driver(store, pool)
    run.run()
    assert pool.num_deaths == 1
    assert pool.released == ["d"]
    assert run.ledger.rows["t"].status is Status.OK
    assert run.measured == {"t": "measured"}
    assert store.trials.read(pytest.fail)["t"].num_examples == NUM_SHARDS
    assert store.shards.read("t", pytest.fail) == []  # the row holds them merged


def test_what_was_committed_before_an_interrupt_is_in_the_store(tmp_path):
    store = Store.open(str(tmp_path))
    pool = FakePool(interrupt_after=3)
    with pytest.raises(KeyboardInterrupt):
        driver(store, pool).run()
    assert [one.start for one in store.shards.read("t", pytest.fail)] == [0, 1, 2]
    assert pool.alive == set()


def test_when_the_budget_is_over_a_trial_is_stopped_and_what_was_scored_stays(tmp_path):
    store = Store.open(str(tmp_path))

    class Counted(Deadline):
        """Over once two shards are in."""

        @property
        def is_over(self):
            return len(pool.scored) >= 2

    pool = FakePool()
    pool.num_deaths = 1
    run = driver(store, pool, deadline=Counted(at=0.0, reason="budget: over"))
    run.run()
    row = store.trials.read(pytest.fail)["t"]
    assert (row.status, row.reason) == (Status.STOPPED, "budget: over")
    assert "race" not in row.provenance  # no race has stopped it: the next run goes on with it
    assert [one.start for one in store.shards.read("t", pytest.fail)] == pool.scored
    assert len(pool.scored) < NUM_SHARDS
    assert pool.alive == set()


def test_shards_that_do_not_add_up_are_a_reason_and_not_found_again(tmp_path):
    store = Store.open(str(tmp_path))
    run = driver(store, FakePool(), num_expected=NUM_SHARDS + 1)
    run.run()
    assert (run.ledger.rows["t"].status, run.ledger.rows["t"].reason) == (Status.FAILED, "1 of 7 examples are missing")
    assert run.measured == {}
    assert store.shards.read("t", pytest.fail) == []
    row = store.trials.read(pytest.fail)["t"]  # for whoever asks why; the next run tries it again
    assert (row.status, row.reason) == (Status.FAILED, "1 of 7 examples are missing")


@pytest.mark.parametrize(("basis", "sent"), [("b", [3, 4, 5]), ("of another plan or fit", [*range(6)])])
def test_only_shards_on_the_same_basis_are_taken_over(tmp_path, basis, sent):
    store = Store.open(str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        driver(store, FakePool(interrupt_after=3)).run()
    found = lambda planned, plan: usable(store.shards.read(planned.trial.trial_id, pytest.fail), basis)  # noqa: E731
    pool = FakePool()
    again = driver(store, pool, found=found)
    again.run()
    assert sorted(set(pool.scored)) == sent
    assert again.ledger.rows["t"].status is Status.OK
    assert again.ledger.rows["t"].num_examples == NUM_SHARDS


class WrittenBeside(Files):
    """A store that no main thread may ask anything of."""

    def _do(self, *given, **options):
        assert threading.current_thread() is not threading.main_thread()
        return super()._do(*given, **options)


@pytest.mark.parametrize("fitted", [None, '{"fit_seconds": 7.0}'])
def test_the_loop_asks_nothing_of_the_store(tmp_path, fitted):
    files = WrittenBeside(str(tmp_path))
    store = Store(files=files, shards=ShardLog(files), trials=TrialLog(files))
    run = driver(store, FakePool(), needs_fit=True, fitted=fitted)
    run.run()
    assert run.ledger.rows["t"].status is Status.OK
    assert run.ledger.rows["t"].cost["fit_seconds"] == 7.0


@pytest.mark.parametrize(("kept", "limit", "left"), [((), 9, 0), (("t",), 1 << 20, 1), (("t",), 9, 0)])
def test_a_checkpoint_that_others_will_read_stays_as_long_as_there_is_room(tmp_path, monkeypatch, kept, limit, left):
    monkeypatch.setattr(ledger_module, "_MOST_KEPT_BYTES", limit)
    store = Store.open(str(tmp_path))
    write_checkpoint(store.files, "t", bytes(100))
    with Ledger(
        {"t": driver(store, FakePool()).ledger._planned["t"]},
        expected={"words": Coverage.of(["0"])}, usable=lambda planned, plan: [],
        kept=frozenset(kept), store=store, skipped=pytest.fail, check=lambda: None,
    ) as ledger:  # fmt: skip
        ledger.end("t", Status.OK, None)
    assert len(list_checkpoints(store.files)) == left
