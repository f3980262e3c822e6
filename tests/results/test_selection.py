"""P(best), the optimism of a choice by test examples, and the front of quality and cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybench.core import Status
from raybench.results.selection import best_shares, front, optimism, optimism_notes
from tests.results.test_tables import entry

REPLICATES = st.integers(1, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 4), min_size=k, max_size=k), min_size=1, max_size=20)
)


@given(REPLICATES, st.booleans())
def test_shares_of_being_best_add_up_to_one(drawn, higher):
    shares = best_shares(np.array(drawn, dtype=float).T, higher_is_better=higher)
    assert sum(shares) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in shares)


def test_equal_bests_share_a_draw():
    assert best_shares(np.array([[1.0, 3.0], [1.0, 2.0]]), higher_is_better=True) == [0.75, 0.25]
    assert best_shares(np.array([[1.0, 3.0], [1.0, 2.0]]), higher_is_better=False) == [0.25, 0.75]


@pytest.mark.parametrize("higher", [True, False])
def test_optimism_is_that_of_the_simulation_it_estimates(higher):
    """K equal candidates of n examples: the best of them looks better than it is by the mean of the maximum."""
    draw, n, errors = np.random.default_rng(0), 200, []
    for _ in range(200):
        right = (draw.random((8, n)) < 0.7).astype(float)
        weights = draw.multinomial(n, np.full(n, 1 / n), 200).T / n
        errors.append(optimism(right.mean(1), right @ weights, higher_is_better=higher))
    truth = np.mean([np.sort(draw.binomial(n, 0.7, 8) / n)[-1] - 0.7 for _ in range(4000)])
    assert np.mean(errors) == pytest.approx(truth, rel=0.35)


def test_one_candidate_alone_is_told_without_optimism():
    values = np.random.default_rng(0).normal(0.5, 0.01, (1, 4000))
    assert optimism([0.5], values, higher_is_better=True) < 1e-3


def test_nothing_on_the_front_is_beaten_and_all_others_are():
    rows = [
        {"accuracy": 0.9, "fit_seconds": 10.0, "examples_per_second": 50.0},
        {"accuracy": 0.8, "fit_seconds": 1.0, "examples_per_second": 50.0},
        {"accuracy": 0.8, "fit_seconds": 2.0, "examples_per_second": 50.0},
        {"accuracy": 0.7, "fit_seconds": None, "examples_per_second": 90.0},
        {"accuracy": None, "fit_seconds": 0.1, "examples_per_second": 99.0},
    ]
    assert front(rows, "accuracy", higher_is_better=True) == [True, True, False, True, None]


def test_a_grid_ranked_on_the_test_examples_is_told_of_its_optimism():
    grid = [entry("a", 0.5 + place / 100, learning_rate=place) for place in range(3)]
    (note,) = optimism_notes([*grid, entry("b", 0.9)], {"d": "accuracy"}, {"accuracy": True})
    assert note.startswith(
        "a on d: 3 configurations are ranked on the test examples; the best of 3 is expected to look"
    )


def test_a_grid_that_failed_is_told_without_a_number():
    grid = [entry("a", 0.5, learning_rate=place, status=Status.NAN, reason="nan") for place in range(2)]
    (note,) = optimism_notes(grid, {"d": "accuracy"}, {"accuracy": True})
    assert note == "a on d: 2 configurations are ranked on the test examples; the best of them looks better than it is"
