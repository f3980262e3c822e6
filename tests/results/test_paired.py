"""Pairs of configurations: the same examples, the same order, seeds as clusters."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raybench.metrics.compare import compare
from raybench.metrics.permutation import holm
from raybench.results.paired import paired_tests

LABELS = {"labels": ["a", "b", "c"]}
NUM = 200


def records(accuracy, seed):
    draw = np.random.default_rng(seed)
    target = np.arange(NUM) % 3
    prediction = np.where(draw.random(NUM) < accuracy, target, (target + 1) % 3)
    return pa.table(
        {
            "id": [f"{n:04d}" for n in range(NUM)],
            "target": target.astype("int32"),
            "prediction": prediction.astype("int32"),
        }
    )


def test_of_one_seed_it_is_the_paired_test_adjusted():
    tables = [records(accuracy, seed) for seed, accuracy in enumerate((0.95, 0.9, 0.6))]
    found = paired_tests([[table] for table in tables], "accuracy", LABELS, work=1e9)
    assert [(test.first, test.second) for test in found] == [(0, 1), (0, 2), (1, 2)]
    alone = [compare(["accuracy"], tables[a], tables[b], LABELS)["accuracy"] for a, b in ((0, 1), (0, 2), (1, 2))]
    assert [test.p_value for test in found] == [one.p_value for one in alone]
    assert [test.low for test in found] == [one.low for one in alone]
    assert [test.adjusted for test in found] == holm([one.p_value for one in alone])


def test_work_bounds_the_pairs_the_best_first():
    tables = [[records(0.9 - place / 20, place)] for place in range(5)]
    found = paired_tests(tables, "macro_f1", LABELS, work=3 * NUM)
    assert [(test.first, test.second) for test in found] == [(0, 1), (0, 2), (0, 3)]


def test_the_same_records_of_more_seeds_make_nothing_more_certain():
    a, b = records(0.9, 0), records(0.82, 1)
    (once,) = paired_tests([[a], [b]], "macro_f1", LABELS, work=1e9)
    (twice,) = paired_tests([[a, a], [b, b]], "macro_f1", LABELS, work=1e9)
    assert twice.difference == pytest.approx(once.difference)
    assert twice.p_value == pytest.approx(once.p_value, abs=0.02)


def test_one_without_seeds_is_paired_with_each_seed_of_the_other():
    a, b = records(0.9, 0), [records(0.7, 1), records(0.8, 2)]
    (test,) = paired_tests([[a], b], "accuracy", LABELS, work=1e9)
    means = [np.mean([t["target"].to_numpy() == t["prediction"].to_numpy() for t in tables]) for tables in ([a], b)]
    assert test.difference == pytest.approx(means[0] - means[1])


def test_what_cannot_be_paired_is_left_out():
    a, b = records(0.9, 0), records(0.8, 1)
    other = b.set_column(0, "id", pa.array([f"x{n}" for n in range(NUM)]))
    assert paired_tests([[a], [other]], "accuracy", LABELS, work=1e9) == ()
    assert paired_tests([[a]], "accuracy", LABELS, work=1e9) == ()
    assert paired_tests([], "accuracy", LABELS, work=1e9) == ()
