"""What perturbing changes: paired with the original, all seeds together, corrected for the number of tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raybench.metrics.compare import compare
from raybench.metrics.permutation import holm
from raybench.results.drops import drops_table
from raybench.results.paired import stacked
from raybench.results.tables import OVERALL
from tests.results.test_paired import records
from tests.results.test_tables import entry, ranked

RANK_BY = {"d": "accuracy", "d-typos": "accuracy"}
LABELS = {"labels": ["a", "b", "c"]}


def entries(names=("one",), seeds=(0,), original="d"):
    made = []
    for name in names:
        for dataset in ("d", "d-typos"):
            for seed in seeds:
                one = entry(name, 0.5, dataset=dataset, seed=seed)
                key = replace(
                    one.trial.dataset, task="text-classification", labels=("a", "b", "c"),
                    original=original if dataset != "d" else "",
                )  # fmt: skip
                made.append(replace(one, trial=replace(one.trial, dataset=key)))
    return made


def tables(given, accuracy):
    """By trial id; accuracy by (candidate, dataset), another draw each."""
    return {
        one.trial.trial_id: records(accuracy[one.trial.candidate, one.trial.dataset.name], place)
        for place, one in enumerate(given)
    }


def test_a_change_is_the_paired_comparison_with_the_original():
    given = entries(("one", "two"))
    held = tables(given, {("one", "d"): 0.9, ("one", "d-typos"): 0.6, ("two", "d"): 0.7, ("two", "d-typos"): 0.69})
    rows = drops_table(given, RANK_BY, held.__getitem__).to_pylist()
    assert [(row["candidate"], row["dataset"], row["original"], row["metric"]) for row in rows] == [
        ("one", "d-typos", "d", "accuracy"),
        ("two", "d-typos", "d", "accuracy"),
    ]
    before, after = (records(accuracy, place) for place, accuracy in enumerate((0.9, 0.6)))
    alone = compare(["accuracy"], after, before, LABELS)["accuracy"]
    assert (rows[0]["change"], rows[0]["low"], rows[0]["high"]) == (alone.difference, alone.low, alone.high)
    assert rows[0]["change"] == pytest.approx(rows[0]["value"] - rows[0]["original_value"])
    assert [row["adjusted"] for row in rows] == holm([row["p_value"] for row in rows])


def test_seeds_are_clusters_of_examples():
    given = entries(seeds=(0, 1))
    held = tables(given, {("one", "d"): 0.9, ("one", "d-typos"): 0.8})
    (row,) = drops_table(given, RANK_BY, held.__getitem__).to_pylist()
    after, before = (stacked([held[given[place].trial.trial_id] for place in pair], 2) for pair in ((2, 3), (0, 1)))
    assert row["p_value"] == compare(["accuracy"], after, before, LABELS)["accuracy"].p_value


def test_every_metric_that_ranks_is_told():
    given = entries()
    held = tables(given, {("one", "d"): 0.9, ("one", "d-typos"): 0.8})
    by = dict.fromkeys(RANK_BY, "2 accuracy + 1 macro_f1")
    assert drops_table(given, by, held.__getitem__).column("metric").to_pylist() == ["accuracy", "macro_f1"]


def test_a_seed_that_is_missing_on_one_side_is_no_pair():
    given = entries(seeds=(0, 1))[:-1]
    held = tables(given, {("one", "d"): 0.9, ("one", "d-typos"): 0.8})
    assert drops_table(given, RANK_BY, held.__getitem__).num_rows == 0


def test_without_perturbed_datasets_there_is_no_table_and_nothing_is_read():
    assert drops_table(entries(original=""), RANK_BY, {}.__getitem__) is None


def test_perturbed_rows_are_no_dataset_of_the_mean_over_datasets():
    rows = ranked(entries(), {"d": "accuracy", "d-typos": "accuracy"})
    assert {row["dataset"]: row["original"] for row in rows} == {"d": None, "d-typos": "d"}
    beside = [entry("one", 0.5, dataset=name) for name in ("d1", "d2")]
    both = ranked([*entries(), *beside], dict.fromkeys(("d", "d-typos", "d1", "d2"), "accuracy"))
    (overall,) = [row for row in both if row["dataset"] == OVERALL]
    assert overall["num_examples"] == 150
