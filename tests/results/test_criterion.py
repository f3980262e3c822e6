"""Several metrics that rank by weights: votes of ranks, whatever their units and directions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybench.results.criterion import Criterion
from raybench.results.tables import OVERALL
from tests.results.test_tables import entry, ranked

HIGHER = {"accuracy": True, "log_loss": False, "ece": False}
SCORES = st.lists(
    st.fixed_dictionaries({"accuracy": st.integers(0, 9), "ece": st.integers(0, 9)}), min_size=1, max_size=6
)


def by(text):
    return Criterion.of(text, HIGHER)


def test_the_weighted_mean_of_ranks_decides():
    scores = [{"accuracy": 0.9, "ece": 0.5}, {"accuracy": 0.8, "ece": 0.1}, {"accuracy": 0.7, "ece": 0.3}]
    assert by("2 accuracy + 1 ece").values(scores) == pytest.approx([5 / 3, 5 / 3, 8 / 3])
    assert by("1 accuracy + 2 ece").values(scores) == pytest.approx([7 / 3, 4 / 3, 7 / 3])


def test_equal_values_share_the_mean_of_their_ranks():
    scores = [{"accuracy": 0.9, "ece": 0.1}, {"accuracy": 0.9, "ece": 0.2}, {"accuracy": 0.1, "ece": 0.3}]
    assert by("1 accuracy + 1 ece").values(scores) == pytest.approx([1.25, 1.75, 3.0])


@given(SCORES, st.floats(0.1, 10), st.floats(0.1, 10))
def test_units_change_nothing_nor_does_the_scale_of_weights(scores, unit, scale):
    other = [{"accuracy": one["accuracy"] * unit, "ece": one["ece"] * unit**2} for one in scores]
    told = by("3 accuracy + 1 ece").values(scores)
    assert told == pytest.approx(by(f"{3 * scale!r} accuracy + {scale!r} ece").values(other))


@given(SCORES)
def test_a_metric_alone_is_its_own_value(scores):
    assert by("ece").values(scores) == [one["ece"] for one in scores]
    assert (by("ece").higher_is_better, by("accuracy").higher_is_better) == (False, True)
    assert by("1 accuracy + 1 ece").higher_is_better is False


def test_each_draw_is_ranked_by_all_metrics_on_the_same_examples():
    draw = np.random.default_rng(0)
    drawn = [{name: draw.normal(size=50) for name in ("accuracy", "ece")} for _ in range(4)]
    joint = by("2 accuracy + 1 ece").draws(drawn)
    for place in range(50):
        scores = [{name: float(values[place]) for name, values in one.items()} for one in drawn]
        assert joint[:, place].tolist() == pytest.approx(by("2 accuracy + 1 ece").values(scores))


def test_without_the_draws_of_one_metric_there_are_none():
    drawn = [{"accuracy": np.zeros(9), "ece": np.zeros(9)}, {"accuracy": np.zeros(9)}]
    assert by("1 accuracy + 1 ece").draws(drawn) is None
    assert by("accuracy").draws(drawn) is not None


def test_the_ranking_shows_the_mean_rank_with_an_interval_of_the_rank():
    rows = ranked([entry("poor", 0.2), entry("good", 0.9), entry("fair", 0.895)], "2 accuracy + 1 log_loss")
    assert [(row["candidate"], row["rank"], row["mean_rank"]) for row in rows] == [
        ("good", 1, 1.0),
        ("fair", 2, 2.0),
        ("poor", 3, 3.0),
    ]
    assert {row["rank_by"] for row in rows} == {"2 accuracy + 1 log_loss"}
    assert [(row["rank_low"], row["rank_high"]) for row in rows] == [(1, 1), (2, 2), (3, 3)]  # paired draws
    assert rows[0]["p_best"] == 1.0


def test_one_undefined_metric_leaves_a_candidate_unranked():
    bad = entry("bad", 0.5)
    scores = dict(bad.scores)
    del scores["log_loss"]
    rows = ranked([entry("good", 0.4), replace(bad, scores=scores)], "1 accuracy + 1 log_loss")
    assert [(row["candidate"], row["rank"], row["mean_rank"]) for row in rows] == [
        ("good", 1, 1.0),
        ("bad", None, None),
    ]


def test_over_all_datasets_ranks_by_several_metrics_are_averaged():
    entries = [entry(name, value, dataset=where) for where in ("d1", "d2") for name, value in (("a", 0.9), ("b", 0.2))]
    overall = [row for row in ranked(entries, "3 accuracy + 1 log_loss") if row["dataset"] == OVERALL]
    assert [(row["candidate"], row["rank"], row["mean_rank"]) for row in overall] == [("a", 1, 1.0), ("b", 2, 2.0)]
    assert {row["rank_by"] for row in overall} == {"3 accuracy + 1 log_loss"}
