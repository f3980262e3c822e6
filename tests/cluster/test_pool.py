"""The pool over a toy Ray: which deaths are told as what, who is killed, who is told to leave, and what stays held."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
from ray import exceptions

from raybench.cluster import pool as pool_module
from raybench.cluster.pool import Pool
from raybench.core import Shard
from raybench.schedule.retry import FailureKind
from raybench.schedule.work import (
    ActorReady,
    Draining,
    Features,
    Fit,
    Lost,
    Missed,
    Missing,
    Prepare,
    Prepared,
    Scored,
)

ROWS = "rows"
UNAVAILABLE = exceptions.ActorUnavailableError("connection reset", b"0" * 16)


class Handle:
    """An actor whose calls are noted; `prepare` and `features` leave two values."""

    def __init__(self, ray):
        self.ray, self.called, self.given = ray, [], []

    def __getattr__(self, name):
        def remote(*given):
            self.called.append(name)
            self.given.append(given)
            refs = [next(self.ray.numbers) for _ in range(2 if name in ("prepare", "features") else 1)]
            self.ray.calls[name, self] = refs[-1]
            return refs if len(refs) > 1 else refs[0]

        return SimpleNamespace(remote=remote)


class ToyRay:
    """Answers are set by the test; a ref is a number."""

    def __init__(self):
        self.numbers, self.calls, self.answers, self.killed = itertools.count(), {}, {}, []
        self.exceptions = exceptions

    def wait(self, refs, num_returns, timeout):
        done = [ref for ref in refs if ref in self.answers]
        return done[:num_returns], [ref for ref in refs if ref not in done]

    def get(self, ref):
        answer = self.answers[ref]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, handle, *, no_restart):
        assert no_restart
        self.killed.append(handle)

    def answer(self, handle, name, value):
        self.answers[self.calls[name, handle]] = value


@pytest.fixture
def ray(monkeypatch):
    ray, going = ToyRay(), set()
    ray.going = going
    monkeypatch.setattr(pool_module, "ray", ray)
    monkeypatch.setattr(pool_module, "draining_nodes", lambda: frozenset(going))
    monkeypatch.setattr(pool_module, "node_of", lambda handle: None)
    return ray


@pytest.fixture
def pool(ray):
    return Pool(lambda avoided: Handle(ray), hang_seconds=600)


def start(pool, ray, actor, node="node"):
    pool.start(actor)
    pool.wait(0)
    handle = pool._handles[actor]
    ray.answer(handle, "ready", node)
    assert pool.wait(0) == [ActorReady(actor=actor)]
    return handle


def beat(pool, ray, **held):
    """A sign of life of every actor at work, with the bytes that it holds."""
    pool._last_beat = 0.0
    events = pool.wait(0)
    for handle, size in held.values():
        ray.answer(handle, "beat", (1.0, size, False, ""))
    pool._last_beat = 0.0
    return events + pool.wait(0)


def held(pool):
    """All that the pool keeps by actor, call or key."""
    names = ("_handles", "_calls", "_beats", "_doing", "_nodes", "_due", "_memory", "_drained", "_held", "_leaving",
             "_told", "_commits")  # fmt: skip
    return {name: getattr(pool, name) for name in names if getattr(pool, name)}


def prepared(pool, ray, handle, actor):
    pool.send(actor, [Prepare(data_key=ROWS)], [])
    ray.answer(handle, "prepare", (2, 0, "plan", ()))
    (event,) = pool.wait(0)
    assert isinstance(event, Prepared)


def test_an_actor_that_is_out_of_reach_is_killed_and_what_it_says_later_is_not_heard(pool, ray):
    handle = start(pool, ray, 0)
    prepared(pool, ray, handle, 0)
    shard = Shard(trial_id="t", start=0, stop=1)
    pool.send(0, [shard], [ROWS])
    ray.answer(handle, "score", UNAVAILABLE)
    (lost,) = pool.wait(0)
    assert isinstance(lost, Lost)
    assert lost.failure.kind is FailureKind.DIED
    assert ray.killed == [handle]
    ray.answer(handle, "score", ["a commit"])
    assert pool.wait(0) == []
    assert pool.take_commits() == []


@pytest.mark.parametrize("work", [Prepare(data_key="more"), Features(group="g", start=0, stop=1)])
def test_what_an_actor_would_have_left_is_forgotten_with_it(work, pool, ray):
    handle = start(pool, ray, 0)
    prepared(pool, ray, handle, 0)
    pool.send(0, [work], [ROWS])
    ray.answer(handle, "prepare" if isinstance(work, Prepare) else "features", exceptions.ActorDiedError())
    (lost,) = pool.wait(0)
    assert isinstance(lost, Lost)
    assert held(pool).keys() == {"_held"}
    pool.release([ROWS])
    assert held(pool) == {}


def test_nothing_is_held_when_the_last_reader_has_ended_and_the_actors_are_stopped(pool, ray):
    handles = [start(pool, ray, actor) for actor in (0, 1)]
    prepared(pool, ray, handles[0], 0)
    pool.send(1, [Features(group="g", start=0, stop=1)], [ROWS])
    ray.answer(handles[1], "features", None)
    pool.wait(0)
    pool.send(0, [Fit(trial_ids=("t",))], [ROWS, "g"])
    ray.answer(handles[0], "fit", {})
    pool.wait(0)
    assert {"_held", "_told"} <= held(pool).keys()
    pool.release([ROWS, "g"])
    assert held(pool).keys() == {"_handles", "_nodes"}
    assert all("release" in handle.called for handle in handles)
    pool.stop_all()
    assert held(pool) == {}


def test_who_has_nothing_to_do_in_the_end_is_let_go_alive(pool, ray):
    handles = [start(pool, ray, actor) for actor in (0, 1)]
    pool.send(1, [Prepare(data_key=ROWS)], [])
    assert pool.keep_idle() == handles[:1]
    assert held(pool)["_handles"].keys() == {1}
    pool.stop_all()
    assert held(pool) == {}
    assert ray.killed == handles[1:]


def test_rows_that_are_lost_are_dropped_and_everybody_is_told_where_the_new_ones_lie(pool, ray):
    handles = [start(pool, ray, actor) for actor in (0, 1)]
    prepared(pool, ray, handles[0], 0)
    fits = [Fit(trial_ids=(f"t{actor}",)) for actor in (0, 1)]
    for actor, handle in enumerate(handles):
        pool.send(actor, [fits[actor]], [ROWS])
        ray.answer(handle, "fit", Missing(parts=(Prepare(data_key=ROWS),)) if actor == 1 else {})
    assert pool.wait(0)[1:] == [Missed(actor=1, work=fits[1], parts=(Prepare(data_key=ROWS),))]
    assert not held(pool).get("_told")
    prepared(pool, ray, handles[1], 1)
    ((_, new),) = pool._held[ROWS].items()
    for actor, handle in enumerate(handles):
        pool.send(actor, [fits[actor]], [ROWS])
        assert handle.given[-1] == (fits[actor].trial_ids, {ROWS: [(Prepare(data_key=ROWS), [new])]})


def test_actors_of_a_draining_node_are_told_once_that_they_leave(pool, ray):
    staying, leaving = start(pool, ray, 0, "a"), start(pool, ray, 1, "b")
    ray.going.add("b")
    assert beat(pool, ray) == [Draining(actor=1)]
    assert beat(pool, ray) == []
    assert leaving.called.count("leave") == 1
    assert "leave" not in staying.called


def test_whoever_dies_on_a_node_that_was_about_to_go_was_preempted(pool, ray):
    handle = start(pool, ray, 0, "b")
    prepared(pool, ray, handle, 0)
    ray.going.add("b")
    beat(pool, ray)
    pool.send(0, [Fit(trial_ids=("t",))], [ROWS])
    ray.answer(handle, "fit", exceptions.ActorDiedError())
    (lost,) = [event for event in pool.wait(0) if isinstance(event, Lost)]
    assert lost.failure.kind is FailureKind.PREEMPTED


@pytest.mark.parametrize(("grew", "kind"), [(900, FailureKind.HOST_OOM), (100, FailureKind.BYSTANDER)])
def test_the_memory_monitor_is_believed_only_of_the_actor_that_grew_most(grew, kind, pool, ray):
    victim, other = start(pool, ray, 0), start(pool, ray, 1)
    elsewhere = start(pool, ray, 2, "another node")
    for actor in (0, 1, 2):
        prepared(pool, ray, (victim, other, elsewhere)[actor], actor)
        pool.send(actor, [Fit(trial_ids=(f"t{actor}",))], [ROWS])
    beat(pool, ray, victim=(victim, 1000), other=(other, 1000), elsewhere=(elsewhere, 1000))
    beat(pool, ray, victim=(victim, 1000 + grew), other=(other, 1500), elsewhere=(elsewhere, 9000))
    ray.answer(victim, "fit", exceptions.OutOfMemoryError("killed: RAY_memory_usage_threshold"))
    (lost,) = [event for event in pool.wait(0) if isinstance(event, Lost)]
    assert (lost.actor, lost.failure.kind) == (0, kind)


def test_shards_sent_together_come_back_together(pool, ray):
    handle = start(pool, ray, 0)
    prepared(pool, ray, handle, 0)
    shards = [Shard(trial_id="t", start=at, stop=at + 1) for at in range(2)]
    pool.send(0, shards, [ROWS])
    ray.answer(handle, "score", ["one", "two"])
    assert pool.wait(0) == [Scored(actor=0, shard=shard) for shard in shards]
    assert pool.take_commits() == ["one", "two"]
    assert "_commits" not in held(pool)


def test_ended_trials_are_measured_by_all_idle_actors_and_what_a_dead_or_hung_one_leaves_is_not_waited_for(
    pool, ray, monkeypatch
):
    handles = [start(pool, ray, actor) for actor in range(3)]
    rows = [SimpleNamespace(trial_id=f"t{number}", num_examples=1) for number in range(3)]
    answers = (["one"], exceptions.ActorDiedError(), [None])

    def answer(refs, num_returns, timeout):
        for handle, value in zip(handles, answers, strict=True):
            ray.answer(handle, "measure", value)
        return ToyRay.wait(ray, refs, num_returns, timeout)

    monkeypatch.setattr(ray, "wait", answer, raising=False)
    assert pool.measure(rows, lambda: False) == {"t0": "one"}
    assert [handle.called.count("measure") for handle in handles] == [1, 1, 1]
    monkeypatch.setattr(ray, "wait", lambda refs, num_returns, timeout: ([], refs))
    assert pool.measure(rows, lambda: True) == {}
    pool._hang_seconds = 0.0
    assert pool.measure(rows, lambda: False) == {}


def test_a_trial_is_measured_by_the_actor_that_scored_it(pool, ray):
    handles = [start(pool, ray, actor) for actor in range(2)]
    pool.send(1, [Shard(trial_id="t0", start=0, stop=1)], [])
    ray.answer(handles[1], "score", ["commit"])
    pool.wait(0)
    rows = [SimpleNamespace(trial_id=f"t{number}", num_examples=1) for number in range(2)]
    pool.measure(rows, lambda: True)
    assert [handle.called[-1] for handle in handles] == ["measure"] * 2
    assert [handle.given[-1] for handle in handles] == [([rows[1]],), ([rows[0]],)]


def test_a_call_measures_more_trials_where_they_have_few_records():
    def sizes(num_examples):
        rows = [SimpleNamespace(trial_id=f"t{number}", num_examples=num_examples) for number in range(70)]
        calls = pool_module._calls(rows)
        assert [row for call in calls for row in call] == rows
        return [len(call) for call in calls]

    assert sizes(100) == [32, 32, 6]
    assert sizes(1000) == [17, 17, 17, 17, 2]
    assert sizes(1_000_000) == [8] * 8 + [6]


def test_who_waits_for_a_first_actor_waits_so_long_and_no_longer(ray, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(pool_module.time, "monotonic", lambda: now[0])
    pool = Pool(lambda avoided: Handle(ray), hang_seconds=600, placement_seconds=60.0)
    pool.start(0)
    now[0] += 59
    assert pool.unplaced() is None
    now[0] += 1
    assert pool.unplaced() == "no actor could be placed and started within 1 minutes"
    start(pool, ray, 1)
    now[0] += 1000
    assert pool.unplaced() is None
    pool.stop(1)
    now[0] += 59
    assert pool.unplaced() is None, "the time is counted from the loss of the last"
    now[0] += 1
    assert pool.unplaced() is not None
