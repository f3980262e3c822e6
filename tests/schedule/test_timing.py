"""A trial's time is that of all its calls, on all actors."""

from __future__ import annotations

from raybench.schedule.timing import TrialClock


def test_calls_add_up():
    clock = TrialClock(limit_seconds=10)
    clock.begin(0, ("a",), 0)
    clock.end(0, 6)
    clock.begin(0, ("a",), 100)
    assert clock.over(103) == []
    assert clock.over(105) == [0], "6 s of fitting and 5 s of scoring are more than 10"


def test_actors_add_up():
    clock = TrialClock(limit_seconds=10)
    clock.begin(0, ("a",), 0)
    clock.begin(1, ("a",), 0)
    assert clock.over(4) == []
    assert sorted(clock.over(6)) == [0, 1]


def test_trials_fitted_together_share_their_time():
    clock = TrialClock(limit_seconds=10)
    clock.begin(0, ("a", "b"), 0)
    assert clock.over(19) == []
    assert clock.over(21) == [0]


def test_trials_fitted_together_end_when_none_has_time_left():
    clock = TrialClock(limit_seconds=10)
    clock.begin(0, ("a",), 0)
    clock.begin(0, ("a", "b"), 9)
    assert clock.over(28) == [], "a has had 18.5 s, b 9.5"
    assert clock.over(30) == [0]


def test_who_was_fitted_beside_an_endless_trial_has_its_own_time_left():
    clock = TrialClock(limit_seconds=10)
    clock.begin(0, ("endless", "good"), 0)
    assert clock.over(21) == [0]
    clock.lost(0, 21)
    clock.begin(1, ("good",), 30)
    assert clock.over(39) == []
    assert clock.over(41) == [1]


def test_what_a_lost_actor_did_for_one_trial_counts():
    clock = TrialClock(limit_seconds=10)
    for actor in range(2):
        clock.begin(actor, ("a",), 100 * actor)
        clock.lost(actor, 100 * actor + 6)
    clock.begin(2, ("a",), 300)
    assert clock.over(300.1) == [2]


def test_work_for_nobody_has_no_limit():
    clock = TrialClock(limit_seconds=1)
    clock.begin(0, (), 0)
    assert clock.over(1e9) == []


def test_without_a_limit_nothing_is_over():
    clock = TrialClock(limit_seconds=None)
    clock.begin(0, ("a",), 0)
    assert clock.over(1e9) == []
