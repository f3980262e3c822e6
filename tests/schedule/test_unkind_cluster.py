"""The queue where the world is against it: too few places, bad starts, draining nodes, full memory."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.core import Status
from raybench.schedule.queue import Queue, start_delay
from raybench.schedule.retry import Failure, FailureKind
from raybench.schedule.work import (
    ActorReady,
    Draining,
    Failed,
    Finish,
    Fit,
    Lost,
    Prepared,
    Send,
    StartActor,
    StopActor,
)
from tests.schedule.test_queue import DIED, FakeCluster, batches, trial

TRANSIENT = Failure(kind=FailureKind.TRANSIENT, message="ConnectionError: reset")
PREEMPTED = Failure(kind=FailureKind.PREEMPTED, message="its node was taken away")
HOST_OOM = Failure(kind=FailureKind.HOST_OOM, message="the node ran out of memory")
BYSTANDER = Failure(kind=FailureKind.BYSTANDER, message="the node ran out of memory")


class UnkindCluster(FakeCluster):
    """Holds `places` actors at once, the others wait for ever; starts fail and nodes drain at will."""

    def __init__(self, queue, fate, rng, *, places, num_batches=5):
        super().__init__(queue, num_batches, fate, rng)
        self.places = places

    def next_event(self):
        waiting, self.starting = self.starting, set()
        up = self.work.keys() - waiting
        if len(up) < self.places and waiting:
            chosen = self.rng.choice(sorted(waiting))
            if self.rng.random() < 0.2 and up:  # where none is up, enough bad starts would end the run
                self.starting = waiting - {chosen}
                self.work.pop(chosen)
                return Lost(actor=chosen, failure=DIED)
            if self.rng.random() < 0.5 or not any(self.work[actor] for actor in up):
                self.starting = waiting - {chosen}
                return ActorReady(actor=chosen)
        self.starting = waiting
        busy = sorted(actor for actor in up if self.work[actor])
        assert busy, "an actor is idle, or none can come, and the queue is not done"
        if self.rng.random() < 0.1:
            return Draining(actor=self.rng.choice(sorted(up)))
        actor = self.rng.choice(busy)
        failure = self.fate(self.work[actor][0])
        if failure is not None and failure.kind is not FailureKind.TRANSIENT:
            del self.work[actor]
            return Lost(actor=actor, failure=failure)
        if failure is not None:
            return Failed(actor=actor, work=self.work[actor].pop(0), failure=failure)
        self.starting, fate, self.fate = set(), self.fate, lambda work: None
        idle = {other: self.work.pop(other) for other in list(self.work) if other != actor}
        event = super().next_event()
        self.work |= idle
        self.starting, self.fate = waiting, fate
        return event


@settings(max_examples=300)
@given(
    num_trials=st.integers(1, 6),
    num_actors=st.integers(1, 5),
    places=st.integers(1, 5),
    bundled=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_every_trial_ends_well_with_fewer_places_than_actors(num_trials, num_actors, places, bundled, seed):
    rng, suffered = random.Random(seed), Counter()

    def fate(work):
        if rng.random() < 0.3 and suffered[work] < 2:
            suffered[work] += 1
            return rng.choice([TRANSIENT, DIED, PREEMPTED, BYSTANDER, HOST_OOM])
        return None

    trials = [trial(number, bundle="b" if bundled else None, needs_fit=number % 3 > 0) for number in range(num_trials)]
    queue = Queue(trials, num_actors=num_actors, shard_batches=2)
    cluster = UnkindCluster(queue, fate, rng, places=places).run()
    assert cluster.ended == {work.trial_id: Status.OK for work in trials}
    for work in trials:
        assert batches(cluster.scored, work.trial_id) == Counter(range(5))


def test_a_passing_failure_does_not_wait_for_an_actor_that_never_comes():
    queue = Queue([trial(0)], num_actors=2, shard_batches=2)
    queue.start()
    queue.step(ActorReady(actor=0))  # the other one finds no place
    (send,) = queue.step(Prepared(actor=0, data_key="d0", num_batches=2))
    (again,) = queue.step(Failed(actor=0, work=send.work, failure=TRANSIENT))
    assert (again.actor, again.work) == (0, Fit(trial_ids=("t0",)))


def test_one_bad_node_does_not_end_a_sweep():
    queue = Queue([trial(0)], num_actors=2, shard_batches=2)
    queue.start()
    queue.step(ActorReady(actor=0))
    bad, delays = 1, []
    for _ in range(20):
        (start,) = [one for one in queue.step(Lost(actor=bad, failure=DIED)) if isinstance(one, StartActor)]
        bad, delays = start.actor, [*delays, start.delay_seconds]
    assert not queue.done
    assert delays[:4] == [1, 2, 4, 8]
    assert max(delays) == 60


def test_starts_are_put_off_longer_each_time_up_to_a_minute():
    assert [start_delay(failed) for failed in (0, 1, 2, 3, 7, 50)] == [0, 1, 2, 4, 60, 60]


def test_an_actor_on_a_draining_node_ends_what_it_has_and_gets_nothing_new():
    queue = Queue([trial(0), trial(2)], num_actors=1, shard_batches=2)
    queue.start()
    queue.step(ActorReady(actor=0))
    assert queue.step(Draining(actor=0)) == []
    actions = queue.step(Prepared(actor=0, data_key="d0", num_batches=2))
    assert actions == [StopActor(actor=0), StartActor(actor=1)]
    (send,) = queue.step(ActorReady(actor=1))
    assert isinstance(send.work, Fit)


def test_a_bundle_whose_node_was_taken_away_stays_together_and_one_that_died_does_not():
    for failure, fits in ((PREEMPTED, [("t0", "t2")]), (DIED, [("t2",), ("t0",)])):
        queue = Queue([trial(number, bundle="b") for number in (0, 2)], num_actors=2, shard_batches=2)
        queue.start()
        queue.step(ActorReady(actor=0))
        queue.step(Prepared(actor=0, data_key="d0", num_batches=2))
        actions = queue.step(Lost(actor=0, failure=failure))
        for actor in (1, 2):
            actions += queue.step(ActorReady(actor=actor))
        assert [one.work.trial_ids for one in actions if isinstance(one, Send)] == fits


def test_a_node_taken_away_costs_no_attempt_and_is_told_when_no_other_comes():
    queue = Queue([trial(0), trial(2)], num_actors=1, shard_batches=2)
    queue.start()
    queue.step(ActorReady(actor=0))
    queue.step(Prepared(actor=0, data_key="d0", num_batches=2))
    for actor in range(1, 9):
        queue.step(Lost(actor=actor - 1, failure=PREEMPTED))
        (send,) = queue.step(ActorReady(actor=actor))
        assert send.work == Fit(trial_ids=("t2",))
    queue.step(Lost(actor=8, failure=PREEMPTED))
    ends = {action.trial_id: action.status for action in queue.give_up("no place") if isinstance(action, Finish)}
    assert ends == {"t0": Status.FAILED, "t2": Status.PREEMPTED}
    assert queue.done


def test_after_a_node_ran_out_of_memory_fewer_actors_are_tried():
    queue = Queue([trial(number) for number in range(4)], num_actors=3, shard_batches=2)
    queue.start()
    for actor in range(3):
        queue.step(ActorReady(actor=actor))
    started = [
        action.actor
        for actor, failure in ((0, BYSTANDER), (1, HOST_OOM), (2, HOST_OOM))
        for action in queue.step(Lost(actor=actor, failure=failure))
        if isinstance(action, StartActor)
    ]
    assert started == [3], "3, 2, then 1 actor: the last one is replaced"
