"""Ranks, their intervals, and several seeds as one score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybench.core import Score
from raybench.results.order import rank, rank_intervals, ranks_of_replicates
from raybench.results.seeds import combine_seeds


def test_ties_share_the_better_rank():
    assert rank([0.9, 0.7, 0.9], higher_is_better=True) == [1, 3, 1]


def test_losses_rank_the_other_way():
    assert rank([0.9, 0.7, 0.8], higher_is_better=False) == [3, 1, 2]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_ranks_do_not_depend_on_the_order_of_candidates(values):
    ranks = dict(zip(values, rank(values, higher_is_better=True), strict=True))
    backwards = dict(zip(values[::-1], rank(values[::-1], higher_is_better=True), strict=True))
    assert ranks == backwards


def test_a_candidate_that_always_wins_is_surely_first():
    rng = np.random.default_rng(0)
    replicates = np.stack([rng.normal(0.9, 0.01, 1000), rng.normal(0.5, 0.01, 1000), rng.normal(0.5, 0.01, 1000)])
    intervals = rank_intervals(*ranks_of_replicates(replicates, higher_is_better=True))
    assert intervals == [(1, 1), (2, 3), (2, 3)]


def test_equal_candidates_share_all_their_ranks():
    replicates = np.ones((3, 100))
    assert rank_intervals(*ranks_of_replicates(replicates, higher_is_better=True)) == [(1, 3)] * 3


def test_paired_replicates_tell_apart_what_their_spread_hides():
    common = np.random.default_rng(0).normal(0, 0.1, 1000)  # hard and easy draws of examples, the same for both
    replicates = np.stack([0.81 + common, 0.80 + common])
    assert rank_intervals(*ranks_of_replicates(replicates, higher_is_better=True)) == [(1, 1), (2, 2)]


def test_one_seed_keeps_its_own_interval():
    score = Score(value=0.5, low=0.4, high=0.7, n=10)
    assert combine_seeds([score], (0, 1)) is score


def test_seeds_that_agree_keep_the_error_of_sampling():
    scores = [Score(value=0.5, low=0.4, high=0.6, n=10)] * 3
    combined = combine_seeds(scores, (0, 1))
    assert (combined.value, combined.low, combined.high) == pytest.approx((0.5, 0.4, 0.6))


def test_seeds_that_differ_widen_the_interval():
    scores = [Score(value=value, low=value - 0.1, high=value + 0.1, n=10) for value in (0.4, 0.5, 0.6)]
    combined = combine_seeds(scores, (0, 1))
    half = math.hypot(0.1, 4.302652729911275 * 0.1 / math.sqrt(3))  # Student's 97.5 % point, 2 degrees of freedom
    assert combined.value == pytest.approx(0.5)
    assert combined.high == pytest.approx(0.5 + half)


def test_an_interval_stays_within_the_range():
    scores = [Score(value=value, low=value - 0.2, high=min(1.0, value + 0.2), n=10) for value in (0.8, 1.0)]
    assert combine_seeds(scores, (0.0, 1.0)).high == 1.0


def test_one_undefined_seed_makes_the_configuration_undefined():
    scores = [Score(value=0.5, n=10), Score(value=None, n=10, reason="one class only")]
    assert combine_seeds(scores, (0, 1)).reason == "one class only"
