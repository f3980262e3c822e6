"""Trials that are scored by one fit: it is done once, every reader waits for it, and a lost one is made again."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.core import Shard, Status
from raybench.schedule.queue import Queue
from raybench.schedule.work import Fit, Fitted, Missed, Prepare, Send, TrialWork
from tests.schedule.test_queue import DIED, ERROR, NUM_TRAIN_BATCHES, FakeCluster, batches


def siblings(num_fits, num_datasets, *, features=False, bundled=False, needs_fit=True):
    """Trials on datasets of their own test rows, scored by the fits of the first dataset."""
    return [
        TrialWork(
            trial_id=f"d{dataset}-f{fit}", data_key=f"d{dataset}", needs_fit=needs_fit,
            bundle="all" if bundled else f"b{fit}", cost=float(fit), fit_id=f"d0-f{fit}" if dataset else "",
            fit_data_key="d0" if dataset else "", train_features="d0:train" if features else None,
            test_features=f"d{dataset}:test" if features else None,
        )
        for dataset in range(num_datasets) for fit in range(num_fits)
    ]  # fmt: skip


class Watched(FakeCluster):
    """Notes the fits that end; refuses work whose rows or checkpoint are not there."""

    def __init__(self, *args, missing=lambda work: False, **more):
        super().__init__(*args, **more)
        self.missing, self.fitted, self.there = missing, Counter(), set()

    def act(self, actions):
        for one in (action for action in actions if isinstance(action, Send)):
            if isinstance(one.work, Shard):
                assert set(one.reads) <= self.there | {"d1:test", "d2:test", "d0:test"}
        super().act(actions)

    def answer(self, actor, work):
        if isinstance(work, Fit):
            self.fitted.update(work.trial_ids)
            self.there.update(work.trial_ids)
        if isinstance(work, Prepare):
            self.there.add(work.data_key)
        if isinstance(work, Shard) and self.missing(work):
            fit = work.trial_id.split("-")[1]
            self.there.discard(f"d0-{fit}")
            return Missed(actor=actor, work=work, parts=(Fit(trial_ids=(f"d0-{fit}",)),))
        return super().answer(actor, work)


@settings(max_examples=100)
@given(
    num_fits=st.integers(1, 4), num_datasets=st.integers(1, 3), num_actors=st.integers(1, 4),
    without_original=st.booleans(), features=st.booleans(), bundled=st.booleans(), deaths=st.floats(0, 0.2),
    seed=st.integers(0, 10**6),
)  # fmt: skip
def test_a_fit_is_done_once_for_all_who_read_it_whatever_dies(
    num_fits, num_datasets, num_actors, without_original, features, bundled, deaths, seed
):
    rng = random.Random(seed)
    works = siblings(num_fits, num_datasets, features=features, bundled=bundled)
    if without_original and num_datasets > 1:
        works = [work for work in works if work.fit_id]
    left = Counter()

    def fate(work):
        if rng.random() < deaths and left[work] < 2:  # at the third death it is given up
            left[work] += 1
            return DIED
        return None

    cluster = Watched(Queue(works, num_actors=num_actors, shard_batches=2), 5, fate, rng).run()
    assert set(cluster.ended.values()) == {Status.OK}
    assert cluster.fitted == Counter(f"d0-f{fit}" for fit in range(num_fits))
    for work in works:
        assert batches(cluster.scored, work.trial_id) == Counter(range(5))
    of_training = [part for part in cluster.featured if part.group == "d0:train"]
    assert sum(part.stop - part.start for part in of_training) == (NUM_TRAIN_BATCHES if features else 0)


@settings(max_examples=100)
@given(num_actors=st.integers(1, 4), features=st.booleans(), found=st.booleans(), seed=st.integers(0, 10**6))
def test_a_checkpoint_that_is_lost_is_made_again_once_and_all_readers_end_well(num_actors, features, found, seed):
    """`found`: the fits were in the store when the run began, and went then."""
    rng, lost = random.Random(seed), set()

    def missing(work):
        fit = work.trial_id.split("-")[1]
        if fit in lost or rng.random() < 0.5:
            return False
        lost.add(fit)
        return True

    works = siblings(2, 3, features=features, needs_fit=not found)
    cluster = Watched(Queue(works, num_actors=num_actors, shard_batches=2), 5, lambda work: None, rng, missing=missing)
    cluster.there |= {"d0-f0", "d0-f1"} if found else set()
    cluster.run()
    assert set(cluster.ended.values()) == {Status.OK}
    for fit in ("f0", "f1"):
        assert cluster.fitted[f"d0-{fit}"] <= (not found) + (fit in lost)
    for work in works:
        assert batches(cluster.scored, work.trial_id) == Counter(range(5))


def test_what_cannot_be_fitted_ends_all_who_would_read_it():
    works = siblings(2, 3)
    fails = {Fit(trial_ids=("d0-f1",))}
    cluster = Watched(
        Queue(works, num_actors=2, shard_batches=2), 5, lambda work: ERROR if work in fails else None, random.Random(0)
    ).run()
    assert {name for name, status in cluster.ended.items() if status is Status.FAILED} == {
        "d0-f1", "d1-f1", "d2-f1"
    }  # fmt: skip
    assert sum(status is Status.OK for status in cluster.ended.values()) == 3


def test_rows_that_cannot_be_prepared_end_those_alone_who_need_them():
    for broken, failed in (("d1", {"d1-f0"}), ("d0", {"d0-f0", "d1-f0", "d2-f0"})):
        part = Prepare(data_key=broken)
        cluster = Watched(
            Queue(siblings(1, 3), num_actors=1, shard_batches=2), 5,
            lambda work, part=part: ERROR if work == part else None, random.Random(0),
        ).run()  # fmt: skip
        assert {name for name, status in cluster.ended.items() if status is Status.FAILED} == failed


@pytest.mark.parametrize("late", ["rows", "fit"])
def test_a_reader_begins_when_both_its_rows_and_the_fit_are_there(late):
    from raybench.schedule.backlog import Backlog
    from raybench.schedule.work import Prepared

    backlog = Backlog(siblings(1, 2)[1:], num_actors=1, shard_batches=9)
    rows = [Prepared(actor=0, data_key=key, num_batches=3) for key in ("d0", "d1")]

    def prepare(event):
        backlog.made(Prepare(data_key=event.data_key))
        assert backlog.planned(event) == []

    prepare(rows[0])
    for step in ("fit", "rows") if late == "rows" else ("rows", "fit"):
        assert backlog.num_pending("d1-f0") == 0
        if step == "fit":
            assert backlog.fitted("d0-f0") == []
        else:
            prepare(rows[1])
    assert backlog.num_pending("d1-f0") == 1


def test_a_trial_that_shares_nothing_is_its_own_fit():
    work = siblings(1, 1)[0]
    assert (work.checkpoint, work.fit_rows) == (work.trial_id, work.data_key)
    other = replace(work, fit_id="x", fit_data_key="y")
    assert (other.checkpoint, other.fit_rows) == ("x", "y")
    assert Fitted(actor=0, work=Fit(trial_ids=("x",))).failures == {}


def test_a_bundle_goes_on_without_the_fit_that_nobody_reads_any_more():
    """The rows that alone were to be scored by one fit of a bundle cannot be prepared: the other is fitted."""
    works = [work for work in siblings(2, 2, bundled=True) if work.trial_id != "d0-f0"]
    queue = Queue(works, num_actors=1, shard_batches=2)
    broken = Prepare(data_key="d1")
    cluster = Watched(queue, 5, lambda work: ERROR if work == broken else None, random.Random(0)).run()
    failed = {name for name, status in cluster.ended.items() if status is Status.FAILED}
    assert failed == {work.trial_id for work in works if work.data_key == "d1"}
    assert cluster.ended["d0-f1"] is Status.OK
