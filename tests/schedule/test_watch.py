"""Hanging actors are told from slow ones by the processor time they use."""

from __future__ import annotations

import errno

import pytest

from raybench.core import Status
from raybench.core.errors import DivergedError, IncompatibleError
from raybench.schedule.classify import classify
from raybench.schedule.retry import Failure, FailureKind, decide
from raybench.schedule.watch import Watch


def test_an_actor_without_processor_time_hangs():
    watch = Watch(hang_seconds=60)
    watch.working(0, now=0)
    for now in range(0, 100, 5):
        watch.beat(0, 3.0, now)
    assert watch.hung(now=100) == [0]


def test_an_actor_that_does_not_answer_hangs():
    watch = Watch(hang_seconds=60)
    watch.working(0, now=0)
    assert watch.hung(now=59) == []
    assert watch.hung(now=61) == [0]


def test_a_slow_actor_does_not_hang():
    watch = Watch(hang_seconds=60)
    watch.working(0, now=0)
    for now in range(0, 1000, 5):
        watch.beat(0, 0.5 * now, now)
    assert watch.hung(now=1000) == []


def test_an_actor_that_works_again_after_a_quiet_time_does_not_hang():
    watch = Watch(hang_seconds=60)
    watch.working(0, now=0)
    for now in range(0, 60, 5):
        watch.beat(0, 3.0, now)
    watch.beat(0, 3.5, now=60)  # a tenth of the last five seconds, though next to nothing of the minute
    assert watch.hung(now=119) == []
    assert watch.hung(now=121) == [0]


def test_an_actor_that_waits_for_the_hub_does_not_hang_but_does_when_it_waits_no_more():
    watch = Watch(hang_seconds=60)
    watch.working(0, now=0)
    for now in range(0, 1000, 5):
        watch.beat(0, 3.0, now, waits=True)
    assert watch.hung(now=1000) == []
    for now in range(1000, 1060, 5):
        watch.beat(0, 3.0, now)
    assert watch.hung(now=1060) == [0]


def test_an_idle_actor_does_not_hang():
    watch = Watch(hang_seconds=60)
    watch.working(0, now=0)
    watch.idle(0)
    assert watch.hung(now=1000) == []


def test_deaths_are_retried_twice():
    died = Failure(kind=FailureKind.DIED, message="")
    assert [decide(died, attempts) for attempts in (1, 2, 3)] == [None, None, Status.FAILED]


def test_preemption_is_never_charged():
    assert decide(Failure(kind=FailureKind.PREEMPTED, message=""), attempts=100) is None


def test_exceptions_become_their_status():
    kinds = {
        DivergedError("loss is nan"): Status.NAN,
        IncompatibleError("no head"): Status.INCOMPATIBLE,
        ValueError("x"): Status.FAILED,
        PermissionError(errno.EACCES, "Permission denied"): Status.FAILED,
    }
    assert {error: decide(classify(error), attempts=1) for error in kinds} == kinds


@pytest.mark.parametrize("error", [ConnectionResetError("reset by peer"), OSError(errno.ENOSPC, "this node is full")])
def test_what_another_actor_may_not_meet_is_tried_again(error):
    assert decide(classify(error), attempts=1) is None
    assert decide(classify(error), attempts=3) is Status.FAILED


def test_a_device_assert_poisons_the_actor():
    assert classify(RuntimeError("CUDA error: device-side assert triggered")).poisons_actor
