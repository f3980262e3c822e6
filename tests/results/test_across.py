"""Several datasets as drawn from others like them: the interval of a mean, and who differs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raybench.results.across import across_notes, friedman, mean_interval, signed_rank


def test_the_interval_of_a_mean_is_students_within_the_range():
    values = [0.9, 0.8, 0.85, 0.95]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert mean_interval(values, (0.0, 10.0)) == pytest.approx((low, high))
    assert mean_interval([0.1, 0.9, 0.9], (0.0, 1.0)) == (0.0, 1.0)
    assert mean_interval([0.5, 0.6], (0.0, 1.0)) is None


def test_the_interval_of_a_mean_holds_95_percent():
    draw = np.random.default_rng(0)
    held = [low <= 0.7 <= high for low, high in (mean_interval(v, (-9, 9)) for v in draw.normal(0.7, 0.1, (4000, 5)))]
    assert np.mean(held) == pytest.approx(0.95, abs=0.012)


def test_friedman_alarms_as_often_as_it_says_when_all_are_alike():
    draw = np.random.default_rng(0)
    alarms = [friedman(draw.random((8, 4))) <= 0.05 for _ in range(1500)]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.018)


def test_equal_orders_on_all_datasets_have_the_chance_of_that():
    values = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.9], [0.0, 0.1, 0.2]])
    assert friedman(values) == pytest.approx(1 / 36)
    assert friedman(np.full((5, 3), 0.5)) == 1.0


def test_equal_pairs_do_not_differ():
    assert signed_rank([0.5, 0.6], [0.5, 0.6]) == 1.0


def row(candidate, dataset, value, split="test", rank=1):
    return {
        "candidate": candidate, "method": "full", "hyperparameters": "{}", "dataset": dataset, "split": split,
        "rank_by": "accuracy", "rank": rank, "accuracy": value,
    }  # fmt: skip


def rows_of(offsets, num_datasets=10):
    draw = np.random.default_rng(1)
    return [
        row(name, f"d{place}", 0.5 + offset + draw.normal(0, 0.01))
        for name, offset in offsets.items()
        for place in range(num_datasets)
    ]


def test_who_differs_is_named_best_first():
    (note,) = across_notes(rows_of({"a": 0.0, "b": 0.0, "best": 0.2}), {"accuracy": True})
    assert "candidates differ" in note
    assert "best over a" in note
    assert "best over b" in note
    assert "a over b" not in note
    (note,) = across_notes(rows_of({"a": 0.0, "b": 0.0, "worst": 0.2}), {"accuracy": False})
    assert "a over worst" in note


def test_alike_candidates_are_not_told_apart():
    (note,) = across_notes(rows_of({"a": 0.0, "b": 0.0, "c": 0.0}), {"accuracy": True})
    assert "no candidate is told from another" in note


def test_few_datasets_say_that_pairs_cannot_be_told():
    (note,) = across_notes(rows_of({"a": 0.0, "b": 0.2, "c": 0.4}, 4), {"accuracy": True})
    assert "which pairs, so few datasets cannot tell" in note


def test_two_datasets_and_rows_of_validation_say_nothing():
    rows = rows_of({"a": 0.0, "b": 0.2, "c": 0.4}, 2)
    tried = [row(name, "v (validation)", 0.5, split="validation") for name in "abc"]
    assert across_notes([*rows, *tried], {"accuracy": True}) == []
