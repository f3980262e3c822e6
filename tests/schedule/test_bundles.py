"""Parting bundles: every trial is in one piece, little is done twice, and no actor waits for a piece too long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raybench.schedule.bundles import first_piece, fit_cost, longest_fit
from raybench.schedule.work import TrialWork


def work(name, *steps):
    return TrialWork(trial_id=name, data_key="d", needs_fit=True, bundle="b", fit_steps=steps)


def tree(branches, trunk, own):
    return [work(f"t{number}", ("trunk", trunk), (f"own{number}", own)) for number in range(branches)]


def test_steps_in_common_are_counted_once():
    assert fit_cost(tree(3, trunk=10.0, own=2.0)) == 16.0
    assert longest_fit(tree(3, trunk=10.0, own=2.0)) == 12.0


def test_a_bundle_within_the_limit_stays_whole():
    works = tree(4, trunk=1.0, own=2.0)
    assert first_piece(works, 9.0) == (works, [])


def test_a_bundle_that_shares_nearly_all_is_never_parted():
    heads = tree(24, trunk=100.0, own=0.1)
    assert first_piece(heads, 1.0) == (heads, [])


def test_epochs_of_one_course_are_never_parted():
    steps = [(f"epoch{number}", 1.0) for number in range(6)]
    courses = [work(f"t{epochs}", *steps[:epochs]) for epochs in (2, 4, 6)]
    assert first_piece(courses, 1.0) == (courses, [])


def test_the_costliest_trial_is_in_the_first_piece_with_those_that_begin_like_it():
    works = [
        work("a", ("x", 0.5), ("a", 5.0)),
        work("b", ("y", 0.5), ("b", 5.0)),
        work("c", ("x", 0.5), ("c", 9.0)),
    ]
    piece, rest = first_piece(works, 12.0)
    assert [one.trial_id for one in piece] == ["c", "a"]
    assert [one.trial_id for one in rest] == ["b"]


@given(
    paths=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=12),
    limit=st.floats(0, 40),
)
def test_nothing_is_lost_and_at_most_a_tenth_of_a_piece_is_done_twice(paths, limit):
    works = [
        work(f"t{n}", *((str(path[: depth + 1]), 1.0 + path[depth]) for depth in range(len(path))))
        for n, path in enumerate(paths)
    ]
    piece, rest = first_piece(works, limit)
    assert sorted(one.trial_id for one in (*piece, *rest)) == sorted(one.trial_id for one in works)
    twice = fit_cost(piece) + fit_cost(rest) - fit_cost(works)
    if rest:
        assert fit_cost(piece) >= limit
        assert twice <= 0.1 * min(fit_cost(piece), fit_cost(rest)) + 1e-9
