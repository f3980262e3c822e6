"""The tables a user reads: order, marks, and equality to the bit whatever the order of the trials."""

from __future__ import annotations

import random
from dataclasses import replace

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from raybench.core import DatasetKey, ModelSpec, Score, Status, Trial
from raybench.job.limits import Limit
from raybench.results.entry import Entry
from raybench.results.tables import OVERALL, MetricTrait, ranking_table, scores_table

TRAITS = {"accuracy": MetricTrait(True, (0.0, 1.0)), "log_loss": MetricTrait(False, (0.0, float("inf")))}
METRICS = ("accuracy", "log_loss")


def entry(candidate, value, dataset="d", seed=0, status=Status.OK, reason=None, **hyperparameters):
    trial = Trial(
        trial_id=f"{candidate}-{dataset}-{seed}-{hyperparameters}",
        candidate=candidate,
        model=ModelSpec(reference=f"models/{candidate}"),
        dataset=DatasetKey(name=dataset, task="t", labels=("a", "b"), fingerprint=f"f{dataset}", max_length=8),
        method="full",
        hyperparameters=hyperparameters,
        seed=seed,
        weights_fingerprint="w",
    )
    if status is not Status.OK:
        return Entry(trial=trial, status=status, reason=reason)
    scores = {
        "accuracy": Score(
            value=value, low=value - 0.1, high=value + 0.1, n=50, per_class={"a": Score(value=value, n=20)}
        ),
        "log_loss": Score(value=1 - value, low=None, high=None, n=50),
    }
    noise = np.random.default_rng(5).normal(0, 0.01, 100)
    return Entry(
        trial=trial, status=status, reason=None, scores=scores, num_examples=50,
        cost={"fit_seconds": 2.0 + seed, "params_total": 10},
        replicates={"accuracy": value + noise, "log_loss": 1 - value - noise},
    )  # fmt: skip


def table(entries, rank_by="accuracy"):
    by_dataset = rank_by if isinstance(rank_by, dict) else dict.fromkeys(("d", "d1", "d2"), rank_by)
    return ranking_table(entries, METRICS, by_dataset, TRAITS)


def ranked(entries, rank_by="accuracy"):
    return table(entries, rank_by).to_pylist()


def test_the_best_comes_first():
    rows = ranked([entry("poor", 0.2), entry("good", 0.9)])
    assert [(row["candidate"], row["rank"], row["rank_low"], row["rank_high"]) for row in rows] == [
        ("good", 1, 1, 1),
        ("poor", 2, 2, 2),
    ]


def test_a_loss_ranks_the_lowest_first():
    rows = ranked([entry("poor", 0.2), entry("good", 0.9)], rank_by="log_loss")
    assert [row["candidate"] for row in rows] == ["good", "poor"]


def test_a_failed_candidate_is_last_unranked_and_marked():
    rows = ranked([entry("bad", 0, status=Status.OOM, reason="too long"), entry("good", 0.1)])
    assert [row["candidate"] for row in rows] == ["good", "bad"]
    assert (rows[1]["rank"], rows[1]["status"], rows[1]["reason"]) == (None, "oom", "too long")


def test_seeds_are_one_row():
    (row,) = ranked([entry("a", 0.5, seed=0), entry("a", 0.7, seed=1)])
    assert (row["num_seeds"], row["fit_seconds"]) == (2, 2.5)
    assert row["accuracy"] == pytest.approx(0.6)


def test_a_configuration_with_one_failed_seed_is_not_ranked():
    (row,) = ranked([entry("a", 0.5, seed=0), entry("a", 0, seed=1, status=Status.NAN, reason="loss is nan")])
    assert (row["rank"], row["status"], row["reason"]) == (None, "nan", "seed 1: loss is nan")


def test_every_combination_of_a_grid_is_a_row():
    rows = ranked([entry("a", 0.5, learning_rate=0.1), entry("a", 0.7, learning_rate=0.2)])
    assert [row["hyperparameters"] for row in rows] == ['{"learning_rate":0.2}', '{"learning_rate":0.1}']


def test_what_is_beyond_a_limit_is_shown_and_not_ranked():
    entries = [entry("dear", 0.9, seed=1), entry("cheap", 0.5, seed=0), entry("poor", 0.1, seed=0)]
    limits = [Limit.read("fit_seconds <= 2.5"), Limit.read("accuracy >= 0.3")]
    rows = ranking_table(entries, METRICS, {"d": "accuracy"}, TRAITS, limits).to_pylist()
    assert [(row["candidate"], row["rank"], row["accuracy"]) for row in rows] == [
        ("cheap", 1, 0.5), ("dear", None, 0.9), ("poor", None, 0.1)
    ]  # fmt: skip
    assert rows[1]["reason"] == "fit_seconds is 3, and <= 2.5 is asked"
    assert rows[2]["reason"] == "accuracy is 0.1, and >= 0.3 is asked"


def test_a_cost_that_is_not_known_is_beyond_its_limit():
    rows = ranking_table([entry("a", 0.9)], METRICS, {"d": "accuracy"}, TRAITS, [Limit.read("flops <= 9")]).to_pylist()
    assert rows[0]["rank"] is None
    assert rows[0]["reason"] == "flops is not known, and <= 9 is asked"


def test_over_all_datasets_a_mean_has_the_interval_of_datasets_as_drawn():
    entries = [entry("a", value, dataset=name) for name, value in (("d", 0.5), ("d1", 0.52), ("d2", 0.54))]
    overall = next(row for row in ranked(entries) if row["dataset"] == OVERALL)
    half = 4.302653 * 0.02 / 3**0.5  # Student's 97.5 % point of two degrees
    assert overall["accuracy_high"] - overall["accuracy"] == pytest.approx(half, rel=1e-5)
    two = next(row for row in ranked(entries[:2]) if row["dataset"] == OVERALL)
    assert two["accuracy_low"] is None


def test_over_all_datasets_the_mean_rank_decides():
    rows = ranked(
        [
            *(entry("a", 0.9, "d1"), entry("b", 0.8, "d1"), entry("c", 0.1, "d1")),
            *(entry("a", 0.2, "d2"), entry("b", 0.3, "d2"), entry("c", 0.25, "d2")),
        ]
    )
    overall = [(row["candidate"], row["rank"], row["mean_rank"]) for row in rows if row["dataset"] == OVERALL]
    assert overall == [("b", 1, 1.5), ("a", 2, 2.0), ("c", 3, 2.5)]


def test_each_dataset_is_ranked_by_its_own_metric():
    entries = [entry(name, value, dataset) for name, value in (("a", 0.9), ("b", 0.2)) for dataset in ("d1", "d2")]
    entries = [
        replace(one, scores=one.scores | {"log_loss": Score(value=one.scores["accuracy"].value, n=50)})
        for one in entries
    ]
    rows = ranked(entries, {"d1": "accuracy", "d2": "log_loss"})
    best = {row["dataset"]: (row["candidate"], row["rank_by"]) for row in rows if row["rank"] == 1}
    assert (best["d1"], best["d2"]) == (("a", "accuracy"), ("b", "log_loss"))
    assert {row["mean_rank"] for row in rows if row["dataset"] == OVERALL} == {1.5}
    assert {row["rank_by"] for row in rows if row["dataset"] == OVERALL} == {None}


def test_an_incomplete_candidate_is_below_complete_ones_over_all():
    rows = ranked(
        [
            *(entry("a", 0.9, "d1"), entry("b", 0.8, "d1"), entry("b", 0.3, "d2")),
            entry("a", 0, "d2", status=Status.FAILED, reason="no"),
        ]
    )
    overall = [row for row in rows if row["dataset"] == OVERALL]
    assert [(row["candidate"], row["rank"], row["reason"]) for row in overall] == [
        ("b", 1, None),
        ("a", None, "d2: no"),
    ]


def test_the_order_of_trials_changes_no_bit():
    entries = [
        entry(name, 0.1 * index + 0.01 * seed, dataset, seed)
        for index, name in enumerate("abcd")
        for dataset in ("d1", "d2")
        for seed in (0, 1)
    ]
    expected = table(entries)
    shuffled = sorted(entries, key=lambda one: (one.trial.dataset.name, one.trial.seed, random.Random(0).random()))
    by_seed = sorted(shuffled, key=lambda one: one.trial.seed)
    assert table(by_seed).equals(expected)


def test_scores_are_one_row_a_metric_and_class():
    table = scores_table("run", [entry("a", 0.5)], TRAITS).to_pandas()
    assert [tuple(row) for row in table[["metric", "class", "value"]].fillna("").to_numpy()] == [
        ("accuracy", "", 0.5),
        ("accuracy", "a", 0.5),
        ("log_loss", "", 0.5),
    ]


def test_duckdb_reads_the_tables(tmp_path):
    path = tmp_path / "ranking.parquet"
    pq.write_table(table([entry("a", 0.5), entry("b", 0.6)]), path)
    assert duckdb.sql(f"select candidate from '{path}' where rank = 1").fetchall() == [("b",)]
