"""The queue under any order of answers, deaths and failures: every trial ends once, every batch is scored once."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.core import Shard, Status
from raybench.schedule.queue import Queue
from raybench.schedule.retry import Failure, FailureKind
from raybench.schedule.work import (
    ActorReady,
    Failed,
    Featured,
    Features,
    Finish,
    Fit,
    Fitted,
    Lost,
    Prepare,
    Prepared,
    Scored,
    Send,
    StartActor,
    StopActor,
    TrialWork,
)

DIED = Failure(kind=FailureKind.DIED, message="its actor died")
PREEMPTED = Failure(kind=FailureKind.PREEMPTED, message="its node was taken away")
ERROR = Failure(kind=FailureKind.ERROR, message="ValueError: no")


NUM_TRAIN_BATCHES = 7


class FakeCluster:
    """Executes actions in memory; `fate(work)` says what becomes of each piece of work: None, or a failure."""

    def __init__(self, queue, num_batches, fate, rng, scored=None):
        self.scored_before = scored or {}
        self.queue, self.num_batches, self.fate, self.rng = queue, num_batches, fate, rng
        self.starting, self.work = set(), {}
        self.featured, self.waited_for = [], []
        self.scored, self.ended, self.started, self.max_in_flight = [], {}, 0, 0

    def run(self):
        self.act(self.queue.start())
        for _ in range(20_000):
            if self.queue.done:
                return self
            self.act(self.queue.step(self.next_event()))
        raise AssertionError("the queue does not come to an end")

    def act(self, actions):
        for action in actions:
            match action:
                case StartActor(actor=actor):
                    self.starting.add(actor)
                    self.work[actor] = []
                    self.started += 1
                case StopActor(actor=actor):
                    self.starting.discard(actor)
                    self.work.pop(actor, None)
                case Send(actor=actor, work=work):
                    self.work[actor].append(work)
                    self.waited_for.append((work, len(self.featured)))
                    self.max_in_flight = max(self.max_in_flight, len(self.work[actor]))
                case Finish(trial_id=trial_id, status=status):
                    assert trial_id not in self.ended
                    self.ended[trial_id] = status

    def next_event(self):
        ready = sorted(self.starting) + sorted(actor for actor, work in self.work.items() if work)
        assert ready, "nothing is under way and the queue is not done"
        actor = self.rng.choice(ready)
        if actor in self.starting:
            self.starting.discard(actor)
            return ActorReady(actor=actor)
        work = self.work[actor][0]
        failure = self.fate(work)
        if failure is not None and failure.kind in (FailureKind.DIED, FailureKind.PREEMPTED):
            del self.work[actor]
            return Lost(actor=actor, failure=failure)
        self.work[actor].pop(0)
        if failure is not None:
            return Failed(actor=actor, work=work, failure=failure)
        return self.answer(actor, work)

    def answer(self, actor, work):
        """What comes of a piece of work that ends well."""
        match work:
            case Prepare(data_key=data_key):
                return Prepared(
                    actor=actor,
                    data_key=data_key,
                    num_batches=self.num_batches,
                    num_train_batches=NUM_TRAIN_BATCHES,
                    scored=self.scored_before,
                )
            case Features():
                self.featured.append(work)
                return Featured(actor=actor, work=work)
            case Fit():
                return Fitted(actor=actor, work=work)
            case Shard():
                self.scored.append(work)
                return Scored(actor=actor, shard=work)


def trial(number, *, bundle=None, needs_fit=True, features=None):
    return TrialWork(
        trial_id=f"t{number}",
        data_key=f"d{number % 2}",
        needs_fit=needs_fit,
        bundle=bundle or f"t{number}",
        fit_steps=((bundle or f"t{number}", float(number)),),
        train_features=features and f"{features}:train",
        test_features=features and f"{features}:test",
    )


def batches(shards, trial_id):
    return Counter(batch for shard in shards if shard.trial_id == trial_id for batch in range(shard.start, shard.stop))


@settings(max_examples=150)
@given(
    num_trials=st.integers(1, 8),
    num_actors=st.integers(1, 5),
    shard_batches=st.integers(1, 4),
    num_batches=st.integers(1, 9),
    bundled=st.booleans(),
    shared=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_every_batch_is_scored_once_whatever_dies(
    num_trials, num_actors, shard_batches, num_batches, bundled, shared, seed
):
    rng = random.Random(seed)
    died = Counter()

    def fate(work):  # each piece of work kills at most two actors, and nodes are taken away at will
        if rng.random() < 0.2 and died[work] < 2:
            died[work] += 1
            return DIED
        return PREEMPTED if rng.random() < 0.1 else None

    trials = [
        trial(
            number,
            bundle="b" if bundled else None,
            needs_fit=number % 3 > 0,
            features=f"net of d{number % 2}" if shared else None,
        )
        for number in range(num_trials)
    ]
    scored = {"t1": ((0, 1),)}
    queue = Queue(trials, num_actors=num_actors, shard_batches=shard_batches)
    cluster = FakeCluster(queue, num_batches, fate, rng, scored).run()
    assert cluster.ended == {work.trial_id: Status.OK for work in trials}
    assert cluster.max_in_flight <= 2
    for work in trials:
        before = {batch for start, stop in scored.get(work.trial_id, ()) for batch in range(start, stop)}
        assert batches(cluster.scored, work.trial_id) == Counter(set(range(num_batches)) - before)
    for group in {part.group for part in cluster.featured}:
        done = Counter(
            batch for part in cluster.featured if part.group == group for batch in range(part.start, part.stop)
        )
        assert done == Counter(range(NUM_TRAIN_BATCHES if group.endswith("train") else num_batches))


def test_features_are_computed_by_all_actors_before_anything_reads_them():
    trials = [trial(number, bundle="b", features="net") for number in (0, 2, 4)]
    cluster = FakeCluster(Queue(trials, num_actors=2, shard_batches=2), 9, lambda work: None, random.Random(0)).run()
    parts = Counter(part.group for part in cluster.featured)
    assert parts["net:train"] > 2
    assert parts["net:test"] > 2
    assert [seen for work, seen in cluster.waited_for if isinstance(work, Fit)] == [parts["net:train"]]
    assert {seen for work, seen in cluster.waited_for if isinstance(work, Shard)} == {parts.total()}


def test_heads_of_a_large_grid_are_fitted_by_all_actors():
    trials = [trial(2 * number, bundle="b", features="net") for number in range(20)]
    cluster = FakeCluster(Queue(trials, num_actors=2, shard_batches=2), 9, lambda work: None, random.Random(0)).run()
    fits = [work.trial_ids for work, _ in cluster.waited_for if isinstance(work, Fit)]
    assert sorted(map(len, fits)) == [4, 8, 8]
    assert sorted(sum(fits, ())) == sorted(one.trial_id for one in trials)


def test_who_reads_no_features_does_not_wait_for_them():
    queue = Queue([trial(0, features="net"), trial(2)], num_actors=3, shard_batches=2)
    queue.start()
    for actor in range(3):
        queue.step(ActorReady(actor=actor))
    actions = queue.step(Prepared(actor=0, data_key="d0", num_batches=1, num_train_batches=1))
    assert [action.work for action in actions] == [
        Features(group="net:train", start=0, stop=1),
        Fit(trial_ids=("t2",)),
    ]


def test_features_of_test_rows_wait_until_something_is_fitted():
    queue = Queue([trial(number, features=f"net{number}") for number in (0, 2, 4, 6)], num_actors=1, shard_batches=2)
    cluster = FakeCluster(queue, 1, lambda work: None, random.Random(0)).run()
    order = [work for work, _ in cluster.waited_for]
    first_test = next(i for i, work in enumerate(order) if isinstance(work, Features) and "test" in work.group)
    assert [work for work in order[:first_test] if isinstance(work, Fit)] == [Fit(trial_ids=("t6",))]


def test_features_that_are_not_wanted_ahead_are_left_to_each_shard():
    alone = replace(trial(0, features="net"), features_ahead=False)
    cluster = FakeCluster(Queue([alone], num_actors=2, shard_batches=2), 4, lambda work: None, random.Random(0)).run()
    assert cluster.ended == {"t0": Status.OK}
    assert {part.group for part in cluster.featured} == {"net:train"}


def test_features_that_cannot_be_computed_are_left_to_those_who_read_them():
    def fate(work):
        return ERROR if isinstance(work, Features) else None

    cluster = FakeCluster(
        Queue([trial(0, features="net")], num_actors=2, shard_batches=2), 4, fate, random.Random(0)
    ).run()
    assert cluster.ended == {"t0": Status.OK}
    assert cluster.featured == []


def test_a_fitted_trial_waits_only_for_the_features_of_its_test_rows():
    queue = Queue([trial(0, needs_fit=False, features="net")], num_actors=1, shard_batches=2)
    cluster = FakeCluster(queue, 4, lambda work: None, random.Random(0)).run()
    assert {part.group for part in cluster.featured} == {"net:test"}


@settings(max_examples=100)
@given(
    num_actors=st.integers(1, 4),
    seed=st.integers(0, 10**6),
    bundled=st.booleans(),
    phase=st.sampled_from(["fit", "score"]),
)
def test_one_poisonous_trial_ends_alone(num_actors, seed, bundled, phase):
    def fate(work):
        in_it = "t1" in work.trial_ids if isinstance(work, Fit) else getattr(work, "trial_id", None) == "t1"
        return DIED if in_it and isinstance(work, Fit) == (phase == "fit") else None

    trials = [trial(number, bundle="b" if bundled else None) for number in (1, 3, 5)]
    cluster = FakeCluster(Queue(trials, num_actors=num_actors, shard_batches=2), 4, fate, random.Random(seed)).run()
    assert cluster.ended == {"t1": Status.FAILED, "t3": Status.OK, "t5": Status.OK}
    # a fit: three deaths of its own, one of its bundle; its two shards: at most three deaths each
    assert cluster.started <= num_actors + (4 if phase == "fit" else 6)


def test_an_exception_is_not_tried_again():
    calls = []

    def fate(work):
        calls.append(work)
        return ERROR if isinstance(work, Fit) else None

    cluster = FakeCluster(Queue([trial(0)], num_actors=1, shard_batches=2), 4, fate, random.Random(0)).run()
    assert cluster.ended == {"t0": Status.FAILED}
    assert [call for call in calls if isinstance(call, Fit)] == [Fit(trial_ids=("t0",))]


def test_a_passing_failure_is_tried_on_another_actor():
    seen = []
    queue = Queue([trial(0)], num_actors=2, shard_batches=2)
    queue.start()
    for actor in (0, 1):
        for action in queue.step(ActorReady(actor=actor)):
            if isinstance(action, Send):
                first = action.actor
    actions = queue.step(Prepared(actor=first, data_key="d0", num_batches=2))
    (send,) = [action for action in actions if isinstance(action, Send)]
    seen.append(send.actor)
    transient = Failure(kind=FailureKind.TRANSIENT, message="ConnectionError: reset")
    actions = queue.step(Failed(actor=send.actor, work=send.work, failure=transient))
    (again,) = [action for action in actions if isinstance(action, Send)]
    assert again.work == send.work
    assert again.actor != send.actor


def test_a_cluster_on_which_no_actor_starts_ends_every_trial():
    queue = Queue([trial(0), trial(1)], num_actors=2, shard_batches=2)
    actors = [action.actor for action in queue.start()]
    ended = []
    while not queue.done:
        actions = queue.step(Lost(actor=actors.pop(0), failure=DIED))
        actors += [action.actor for action in actions if isinstance(action, StartActor)]
        ended += [action for action in actions if isinstance(action, Finish)]
    assert [end.status for end in ended] == [Status.FAILED] * 2
    assert "5 actors in a row died while starting" in ended[0].reason


def test_a_held_model_keeps_its_actor():
    cluster = FakeCluster(
        Queue([trial(0, needs_fit=False), trial(2, needs_fit=False)], num_actors=1, shard_batches=1),
        6,
        lambda work: None,
        random.Random(0),
    ).run()
    order = [shard.trial_id for shard in cluster.scored]
    assert order == sorted(order)


def test_the_last_fits_go_before_shards_and_the_others_after():
    queue = Queue([trial(number) for number in (0, 2, 4, 6, 8)], num_actors=2, shard_batches=1)
    queue.start()
    for actor in range(2):
        queue.step(ActorReady(actor=actor))
    sent = []
    events = [Prepared(actor=0, data_key="d0", num_batches=2)]
    while len(sent) < 6:
        for action in queue.step(events.pop(0)):
            if isinstance(action, Send) and action.actor == 0:  # actor 1 is busy with the costliest fit but one
                sent.append(action.work)
                done = isinstance(action.work, Fit)
                events.append(Fitted(actor=0, work=action.work) if done else Scored(actor=0, shard=action.work))
    names = [("fit", work.trial_ids[0]) if isinstance(work, Fit) else ("score", work.trial_id) for work in sent]
    assert names == [("fit", "t8"), ("score", "t8"), ("score", "t8"), ("fit", "t4"), ("fit", "t2"), ("fit", "t0")]


def test_idle_actors_help_with_the_last_trial():
    queue = Queue([trial(0)], num_actors=3, shard_batches=1)
    cluster = FakeCluster(queue, 30, lambda work: None, random.Random(1))
    scorers = set()
    step = queue.step

    def watched(event):
        if isinstance(event, Scored):
            scorers.add(event.actor)
        return step(event)

    queue.step = watched
    cluster.run()
    assert scorers == {0, 1, 2}


@pytest.mark.parametrize("needs_fit", [True, False])
def test_a_trial_all_scored_before_only_ends(needs_fit):
    queue = Queue([trial(0, needs_fit=needs_fit)], num_actors=1, shard_batches=2)
    cluster = FakeCluster(queue, 4, lambda work: None, random.Random(0), {"t0": ((0, 4),)}).run()
    assert cluster.ended == {"t0": Status.OK}
    assert cluster.scored == []


def test_where_trials_have_ranks_they_are_done_in_this_order_and_scored_before_the_next_fit():
    works = [replace(trial(number), data_key="d", rank=rank) for number, rank in ((1, 2), (2, 0), (3, 1))]
    cluster = FakeCluster(Queue(works, num_actors=1, shard_batches=2), 4, lambda work: None, random.Random(0)).run()
    order = [work.trial_ids[0] if isinstance(work, Fit) else work.trial_id for work, _ in cluster.waited_for[1:]]
    assert order == ["t2"] * 3 + ["t3"] * 3 + ["t1"] * 3


def test_when_time_is_over_what_is_left_is_stopped():
    queue = Queue([trial(number) for number in (0, 2)], num_actors=1, shard_batches=2)
    queue.start()
    queue.step(ActorReady(actor=0))
    actions = queue.stop(queue.left, "budget: over")
    ended = {action.trial_id: (action.status, action.reason) for action in actions if isinstance(action, Finish)}
    assert ended == dict.fromkeys(("t0", "t2"), (Status.STOPPED, "budget: over"))
    assert queue.done


def test_features_of_what_is_worth_less_wait_for_fits_that_are_worth_more():
    works = [replace(trial(2, features="cheap"), rank=0), replace(trial(4, features="dear"), rank=1)]
    cluster = FakeCluster(Queue(works, num_actors=1, shard_batches=2), 4, lambda work: None, random.Random(0)).run()
    order = [work for work, _ in cluster.waited_for]
    first_dear = next(i for i, work in enumerate(order) if isinstance(work, Features) and "dear" in work.group)
    assert [work.trial_ids[0] for work in order[:first_dear] if isinstance(work, Fit)] == ["t2"]
    assert cluster.ended == {"t2": Status.OK, "t4": Status.OK}
