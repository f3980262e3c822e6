"""Who measures what: holders first, nobody much more than others, every piece once."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from raybench.schedule.divide import divide


@given(st.lists(st.none() | st.integers(0, 5), max_size=60), st.lists(st.integers(0, 3), unique=True))
def test_every_piece_once_and_nobody_has_much_more_than_an_equal_share(holders, actors):
    shares = divide(holders, actors)
    assert list(shares) == actors
    if actors:
        assert sorted(place for places in shares.values() for place in places) == list(range(len(holders)))
        assert max(map(len, shares.values())) <= math.ceil(1.1 * len(holders) / len(actors))


def test_who_holds_what_a_piece_reads_does_it():
    assert divide([0, 1, 1, 0, None, 7], [0, 1]) == {0: [0, 3, 4], 1: [1, 2, 5]}


def test_of_one_that_holds_all_the_others_take_their_share():
    shares = divide([0] * 100, [0, 1])
    assert [len(places) for places in shares.values()] == [56, 44]
