"""Rows, features and checkpoints are made before they are read, again when lost, and let go with their last reader."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.core import Shard, Status
from raybench.schedule.artefacts import Artefact, Artefacts
from raybench.schedule.queue import Queue
from raybench.schedule.work import Features, Finish, Fit, Missed, Prepare, Release, Send
from tests.schedule.test_queue import DIED, ERROR, PREEMPTED, FakeCluster, batches, trial

STORE = "store"  # where checkpoints lie


@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=3), st.lists(st.sampled_from("xyz"), max_size=4)),
    st.randoms(use_true_random=False),
)
def test_each_key_is_let_go_once_with_its_last_reader(reads, rng):
    artefacts, released = Artefacts(reads), []
    trials = list(reads)
    rng.shuffle(trials)
    for place, one in enumerate(trials):
        let_go = artefacts.end(one)
        still_read = {key for other in trials[place + 1 :] for key in reads[other]}
        assert not still_read & set(let_go)
        released += let_go
        assert artefacts.end(one) == []
    assert sorted(released) == sorted({key for keys in reads.values() for key in keys})


@given(
    st.lists(st.tuples(st.sampled_from(["make", "lose"]), st.integers(0, 3)), max_size=30),
    st.integers(0, 4),
)
def test_an_artefact_is_there_when_all_its_parts_are_and_is_made_again_only_where_one_was_lost(steps, num_parts):
    parts = [Features(group="g", start=at, stop=at + 1) for at in range(num_parts)]
    artefacts, held = Artefacts({"t": ["g"]}), set()
    assert not artefacts.there(["g"])
    artefacts.want(Artefact(key="g", parts=tuple(parts), needs=("rows",)))
    for step, number in steps:
        part = Features(group="g", start=number, stop=number + 1)
        if part not in parts:
            continue
        if step == "make":
            artefacts.made(part)
            held.add(part)
        else:
            assert artefacts.lost(part) == (part in held)
            held.discard(part)
        assert artefacts.there(["g"]) == (len(held) == num_parts)
    assert artefacts.end("t") == ["g"]
    assert "g" not in artefacts
    assert not any(artefacts.lost(part) for part in parts)


class LossyCluster(FakeCluster):
    """Rows and features lie on the node of the actor that made them; nodes go, checkpoints vanish from the store."""

    def __init__(self, trials, *, num_actors, num_batches, rng, fate=lambda work: None, losses=0.1):
        super().__init__(Queue(trials, num_actors=num_actors, shard_batches=2), num_batches, fate, rng)
        self.trials = {one.trial_id: one for one in trials}
        self.losses = losses
        self.held = {one.trial_id: {Fit(trial_ids=(one.trial_id,)): STORE} for one in trials if not one.needs_fit}
        self.made, self.num_lost, self.released, self.num_missed = Counter(), Counter(), [], 0

    def reads(self, work):
        match work:
            case Prepare():
                return set()
            case Features(group=group):
                return {
                    one.data_key for one in self.trials.values() if group in (one.train_features, one.test_features)
                }
            case Fit(trial_ids=trial_ids):
                fitted = [self.trials[trial_id] for trial_id in trial_ids]
                return {key for one in fitted for key in (one.data_key, one.train_features) if key}
            case Shard(trial_id=trial_id):
                one = self.trials[trial_id]
                return {key for key in (one.data_key, trial_id, one.test_features) if key}

    def act(self, actions):
        for action in actions:
            if isinstance(action, Send):
                assert set(action.reads) == self.reads(action.work)
                assert not set(action.reads) & set(self.released), "let go before it was read"
                assert all(key in self.held for key in action.reads), "read before it was made"
            if isinstance(action, Finish):
                self.held.pop(action.trial_id, None)  # its checkpoint
            if isinstance(action, Release):
                for key in action.keys:
                    readers = [one for one in self.trials.values() if key in (*one.fit_reads, *one.score_reads)]
                    ending = {other.trial_id for other in actions if isinstance(other, Finish)} | set(self.ended)
                    assert {one.trial_id for one in readers} <= ending, "let go before its last reader"
                    self.released.append(key)
                    self.held.pop(key, None)
        super().act(actions)

    def next_event(self):
        parts = [(key, part, node) for key, held in self.held.items() for part, node in held.items()]
        if parts and self.rng.random() < self.losses:
            _, _, gone = self.rng.choice(parts)
            for key, part, node in parts:
                if node == gone and (node != STORE or (self.rng.random() < 0.5 and self.num_lost[part] < 1)):
                    self.num_lost[part] += 1
                    self.held[key][part] = None  # it was there, and is not
        return super().next_event()

    def answer(self, actor, work):
        missing = [part for key in self.reads(work) for part, node in self.held.get(key, {}).items() if node is None]
        if missing:
            self.num_missed += 1
            return Missed(actor=actor, work=work, parts=tuple(missing))
        for key in () if isinstance(work, Shard) else work.makes:
            part = Fit(trial_ids=(key,)) if isinstance(work, Fit) else work
            self.held.setdefault(key, {})[part] = STORE if isinstance(work, Fit) else actor % 2
            self.made[part] += 1
        return super().answer(actor, work)


def trials_of(num_trials, *, bundled, shared):
    return [
        trial(
            number,
            bundle=f"b{number % 2}" if bundled else None,
            needs_fit=number % 3 > 0,
            features=f"net of d{number % 2}" if shared else None,
        )
        for number in range(num_trials)
    ]


@settings(max_examples=200)
@given(
    num_trials=st.integers(1, 8),
    num_actors=st.integers(1, 5),
    num_batches=st.integers(1, 9),
    bundled=st.booleans(),
    shared=st.booleans(),
    losses=st.sampled_from([0.0, 0.05, 0.3]),
    deaths=st.sampled_from([0.0, 0.15]),
    seed=st.integers(0, 10**6),
)
def test_whatever_is_lost_is_made_again_and_all_is_let_go_once(
    num_trials, num_actors, num_batches, bundled, shared, losses, deaths, seed
):
    rng, died = random.Random(seed), Counter()

    def fate(work):
        if rng.random() < deaths and died[work] < 1:
            died[work] += 1
            return rng.choice([DIED, PREEMPTED])
        return None

    trials = trials_of(num_trials, bundled=bundled, shared=shared)
    cluster = LossyCluster(
        trials, num_actors=num_actors, num_batches=num_batches, rng=rng, fate=fate, losses=losses
    ).run()
    assert cluster.ended == {one.trial_id: Status.OK for one in trials}
    for one in trials:
        assert batches(cluster.scored, one.trial_id) == Counter(range(num_batches))
    assert cluster.held == {}, "something is held and nobody reads it"
    assert max(Counter(cluster.released).values()) == 1
    assert {one.data_key for one in trials} <= set(cluster.released)
    assert all(times <= 1 + cluster.num_lost[part] for part, times in cluster.made.items())
    if not losses:
        assert set(cluster.made.values()) == {1}
        assert cluster.num_missed == 0


@pytest.mark.parametrize(("lost", "num_under_way"), [("d0", 1), ("net:train", 1), ("net:test", 2)])
def test_what_reads_a_lost_artefact_waits_until_it_is_made_again(lost, num_under_way):
    trials = [trial(number, bundle=f"t{number}", features="net") for number in (0, 2)]
    cluster = LossyCluster(trials, num_actors=1, num_batches=4, rng=random.Random(0), losses=0.0)
    steps, answer = [], cluster.answer

    def watched(actor, work):
        if lost in cluster.held and not any(cluster.num_lost.values()) and lost in cluster.reads(work):
            for part in cluster.held[lost]:
                cluster.held[lost][part] = None
                cluster.num_lost[part] += 1
        event = answer(actor, work)
        steps.append((type(event).__name__, work))
        return event

    cluster.answer = watched
    cluster.run()
    missed = [place for place, (name, _) in enumerate(steps) if name == "Missed"]
    assert len(missed) == num_under_way, "nothing else is sent to read it"
    again = [work for _, work in steps[missed[-1] + 1 :][: len(cluster.num_lost)]]
    assert set(again) == set(cluster.num_lost), "what was lost comes next"
    assert cluster.ended == {one.trial_id: Status.OK for one in trials}
    assert cluster.held == {}


def test_a_trial_whose_checkpoint_vanishes_again_and_again_fails_alone():
    trials = [trial(number) for number in (0, 2)]
    cluster = LossyCluster(trials, num_actors=1, num_batches=2, rng=random.Random(0), losses=0.0)
    answer = cluster.answer

    def losing(actor, work):
        if isinstance(work, Shard) and work.trial_id == "t0":
            cluster.held["t0"] = dict.fromkeys(cluster.held["t0"])
        return answer(actor, work)

    cluster.answer = losing
    cluster.run()
    assert cluster.ended == {"t0": Status.FAILED, "t2": Status.OK}
    assert cluster.made[Fit(trial_ids=("t0",))] == 3
    assert cluster.held == {}


def test_rows_that_cannot_be_made_again_end_those_who_read_them():
    trials = [trial(number) for number in (0, 2, 4)]
    cluster = LossyCluster(trials, num_actors=2, num_batches=6, rng=random.Random(0), losses=0.0)

    def fate(work):
        if isinstance(work, Prepare) and cluster.made[work]:
            return ERROR
        if isinstance(work, Shard) and not cluster.num_lost:
            cluster.num_lost[Prepare(data_key="d0")] += 1
            cluster.held["d0"] = dict.fromkeys(cluster.held["d0"])
        return None

    cluster.fate = fate
    cluster.run()
    assert set(cluster.ended.values()) == {Status.FAILED}
    assert cluster.released == ["d0"]
