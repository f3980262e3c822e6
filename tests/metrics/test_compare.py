"""Paired comparison: the tests against their definitions, families of p-values, and stopping early under the null."""

from math import comb

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from raybench.core.errors import MetricError
from raybench.metrics import permutation
from raybench.metrics.average_precision import average_precision, exchanged_average_precision
from raybench.metrics.compare import compare, rows_in_common
from raybench.metrics.e_process import EProcess, is_dropped, ready_prefix
from raybench.metrics.permutation import benjamini_hochberg, holm, mcnemar
from raybench.metrics.roc import Split, exchanged_auc, mean_auc, ranks_of, splits_of


def predicted(target, prediction, **columns) -> pa.Table:
    ids = [f"r{k:05d}" for k in range(len(target))]
    return pa.table(
        {"id": ids, "target": np.asarray(target, np.int32), "prediction": np.asarray(prediction, np.int32), **columns}
    )


def two_models(num_rows=300, seed=0, gain=0.0):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 3, num_rows)
    hard = rng.random(num_rows)
    return [
        predicted(
            target, np.where(hard + rng.normal(size=num_rows) * 0.15 < level, target, rng.integers(0, 3, num_rows))
        )
        for level in (0.7 + gain, 0.7)
    ]


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (5, 5), (1, 9), (30, 12)])
def test_mcnemar_is_the_two_sided_binomial(only_a, only_b):
    n, k = only_a + only_b, min(only_a, only_b)
    expected = min(1.0, 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n)
    assert mcnemar(only_a=only_a, only_b=only_b) == pytest.approx(expected, rel=1e-12)
    if n:
        assert mcnemar(only_a=only_a, only_b=only_b) == pytest.approx(stats.binomtest(k, n).pvalue, rel=1e-9)


def test_accuracy_is_compared_by_mcnemar():
    a, b = two_models(gain=0.1)
    found = compare(["accuracy"], a, b, {"labels": list("xyz")})["accuracy"]
    right_a, right_b = (table["target"].to_numpy() == table["prediction"].to_numpy() for table in (a, b))
    assert found.test == "McNemar, mid-p"
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    at_most, exactly = (law(min(only_a, only_b), only_a + only_b, 0.5) for law in (stats.binom.cdf, stats.binom.pmf))
    assert found.p_value == pytest.approx(2 * at_most - exactly)
    assert found.difference == pytest.approx(right_a.mean() - right_b.mean())
    assert found.low < found.difference < found.high


def test_mean_is_compared_by_sign_flips_as_scipy_does():
    rng = np.random.default_rng(1)
    target = rng.normal(size=80)
    tables = [
        pa.table(
            {
                "id": [f"r{k:02d}" for k in range(80)],
                "target": target,
                "prediction": target + rng.normal(size=80) * scale,
            }
        )
        for scale in (1.0, 1.25)
    ]
    found = compare(["mae"], *tables, {})["mae"]
    errors = [np.abs(t["prediction"].to_numpy() - target) for t in tables]
    expected = stats.permutation_test(
        (errors[0] - errors[1],), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(0)
    ).pvalue
    assert found.p_value == pytest.approx(expected, abs=0.02)
    spread = stats.sem(errors[0] - errors[1]) * 1.96
    assert found.low == pytest.approx(found.difference - spread, rel=0.15, abs=0.02)


def test_sums_are_compared_by_permutation_and_equal_models_do_not_differ():
    a, b = two_models(gain=0.12)
    scores = compare(["macro_f1", "mcc"], a, b, {"labels": list("xyz")})
    assert scores["macro_f1"].test == "sign-flip permutation"
    assert scores["macro_f1"].p_value < 0.01
    same = compare(["macro_f1", "accuracy"], a, a, {"labels": list("xyz")})
    assert same["macro_f1"].p_value == same["accuracy"].p_value == 1.0
    assert same["macro_f1"].difference == same["macro_f1"].low == same["macro_f1"].high == 0.0


def test_pairing_finds_what_unpaired_intervals_hide():
    a, b = two_models(num_rows=400, seed=3, gain=0.05)
    found = compare(["accuracy"], a, b, {"labels": list("xyz")})["accuracy"]
    unpaired = (
        stats.norm.sf(abs(found.difference) / np.sqrt((found.a * (1 - found.a) + found.b * (1 - found.b)) / 400)) * 2
    )
    assert found.p_value < unpaired / 2


def test_rank_metrics_are_compared_by_exchanges_of_records(classified):
    a = classified(200, 2, seed=1, skill=1.5)
    noise = np.random.default_rng(5).normal(size=200).astype(np.float32)
    b = a.set_column(a.column_names.index("score"), "score", pa.array(a["score"].to_numpy() + 2 * noise))
    found = compare(["roc_auc"], a, b, {"labels": ["n", "y"]})["roc_auc"]
    assert found.test == "permutation of records"
    assert found.p_value < 0.05
    assert found.low < found.difference < found.high


def many_scores(num_rows: int, seed: int, counts: list[int]) -> tuple[pa.Table, pa.Table]:
    """Two equal models with a score of each class; the first classes have few rows."""
    rng = np.random.default_rng(seed)
    rare = np.repeat(np.arange(len(counts)), counts)
    target = np.r_[rare, rng.integers(len(counts), len(counts) + 2, num_rows - rare.size)]
    scores = rng.normal(size=(2, num_rows, len(counts) + 2)) + 1.5 * np.eye(len(counts) + 2)[target]
    ids = [f"r{k:03d}" for k in range(num_rows)]
    a, b = (pa.table({"id": ids, "target": target.astype(np.int32), "scores": list(side)}) for side in scores)
    return a, b


@pytest.mark.parametrize(("average", "counts"), [("macro", [2]), ("weighted", [3, 1]), ("ovo", [1, 2])])
def test_the_difference_of_aucs_after_any_exchange_is_the_sum_of_shares_with_their_signs(average, counts):
    options = {"labels": list("abcd")[: len(counts) + 2], "positive": None, "ignore_index": -100}
    tables = many_scores(25, 3, counts)
    splits = [list(splits_of(side, options, average)) for side in tables]
    shares = exchanged_auc(iter(splits[0]), iter(splits[1]), 25)
    rng = np.random.default_rng(0)
    for signs in (np.ones(25), *rng.choice([-1.0, 1.0], (10, 25))):
        sides: list[list] = [[], []]
        for split, other in zip(*splits, strict=True):
            ranks = [ranks_of(part.scores) for part in (split, other)]
            kept = signs[split.rows] > 0
            sides[0].append(split._replace(scores=np.where(kept, *ranks)))
            sides[1].append(split._replace(scores=np.where(kept, *ranks[::-1])))
        difference = mean_auc(iter(sides[0])) - mean_auc(iter(sides[1]))
        assert signs @ shares == pytest.approx(difference, abs=1e-12)


def test_the_difference_of_average_precisions_after_an_exchange_is_nearly_the_sum_of_shares():
    rng = np.random.default_rng(1)
    positive = np.arange(60) < 5
    models = [ranks_of(np.round(rng.normal(size=60) + positive, 1)) for _ in range(2)]
    sides = [Split(np.arange(60), ranks, positive, 1.0) for ranks in models]
    shares = exchanged_average_precision(iter(sides[:1]), iter(sides[1:]), 60)
    signs = rng.choice([-1.0, 1.0], (300, 60))
    differences = [
        average_precision(np.where(kept, *models), positive)
        - average_precision(np.where(kept, *models[::-1]), positive)
        for kept in signs > 0
    ]
    assert np.corrcoef(signs @ shares, differences)[0, 1] > 0.98


def test_classes_of_one_row_make_no_finding_of_equal_models(monkeypatch):
    monkeypatch.setattr(permutation, "FLIPS", 199)
    labels = {"labels": list("abcd")}
    found = [compare(["roc_auc_ovo"], *many_scores(30, seed, [1, 2]), labels) for seed in range(100)]
    share = np.mean([one["roc_auc_ovo"].p_value <= 0.05 for one in found])
    assert share <= 0.12  # 5 of 100 are expected, 13 once in 700; by influences it was 37 %


def test_permutation_keeps_its_level_under_the_null(monkeypatch):
    monkeypatch.setattr(permutation, "FLIPS", 499)
    p_values = [
        compare(["macro_f1"], *two_models(60, seed), {"labels": list("xyz")})["macro_f1"].p_value for seed in range(40)
    ]
    assert np.mean(np.array(p_values) <= 0.1) <= 0.2
    assert 0.3 < np.mean(p_values) < 0.7


def test_comparison_does_not_depend_on_row_order():
    a, b = two_models(100)
    order = pa.array(np.random.default_rng(0).permutation(100))
    assert compare(["macro_f1"], a, b, {"labels": list("xyz")}) == compare(
        ["macro_f1"], a.take(order), b, {"labels": list("xyz")}
    )


def test_clusters_are_flipped_whole_and_widen_the_interval():
    rng = np.random.default_rng(7)
    target = np.zeros(400, dtype=int)
    document = np.repeat(np.arange(20), 20)
    a = predicted(target, np.repeat(rng.random(20) < 0.45, 20).astype(int), group=document)
    b = predicted(target, np.repeat(rng.random(20) < 0.55, 20).astype(int), group=document)
    lone = compare(["accuracy"], a.drop_columns("group"), b.drop_columns("group"), {"labels": ["x", "y"]})["accuracy"]
    whole = compare(["accuracy"], a, b, {"labels": ["x", "y"]})["accuracy"]
    assert whole.test == "sign-flip permutation"
    assert whole.p_value > lone.p_value
    assert whole.high - whole.low > 2 * (lone.high - lone.low)


def test_only_common_examples_are_compared_and_the_others_are_counted():
    a, b = two_models(50)
    found = compare(["accuracy"], a.slice(0, 40), b.slice(10), {"labels": list("xyz")})["accuracy"]
    assert (found.n, found.num_left_out) == (30, 20)
    with pytest.raises(MetricError, match="no example id in common"):
        compare(["accuracy"], a.slice(0, 10), b.slice(20), {"labels": list("xyz")})
    with pytest.raises(MetricError, match="disagree on 'target'"):
        rows_in_common(a, predicted(1 - a["target"].to_numpy(), b["prediction"].to_numpy()))


@pytest.mark.parametrize(
    ("name", "columns", "column", "other"),
    [
        ("ndcg", {"relevance": [[1.0, 0.0]], "scores": [[0.5, 0.1]]}, "relevance", [[0.0, 1.0]]),
        ("multilabel_micro_f1", {"targets": [[1, 0]], "predictions": [[1, 0]]}, "targets", [[1, 1]]),
        ("perplexity", {"nll": [1.0], "num_tokens": [3]}, "num_tokens", [4]),
        ("byte_perplexity", {"nll": [1.0], "num_bytes": [3]}, "num_bytes", [4]),
        ("bleu", {"hypothesis": ["a"], "references": [["a"]]}, "references", [["b"]]),
        ("accuracy", {"target": [0], "prediction": [0], "group": ["p"]}, "group", ["q"]),
    ],
)
def test_what_both_sides_must_share_is_checked_with_the_row(name, columns, column, other):
    a, b = (pa.table({"id": ["x"], **columns, **more}) for more in ({}, {column: other}))
    with pytest.raises(MetricError, match=rf"disagree on '{column}' of the same examples, first of row 0 \(id 'x'\)"):
        compare([name], a, b, {"labels": ["n", "y"]})


def test_counts_that_no_metric_reads_and_nan_targets_are_no_disagreement():
    a = pa.table(
        {"id": [1, 2], "nll": [1.0, 2.0], "num_tokens": [3, 4], "num_bytes": [9, 9], "target": [float("nan"), 1.0]}
    )
    b = a.set_column(2, "num_tokens", [[5, 6]])
    assert compare(["byte_perplexity"], a, b, {})["byte_perplexity"].difference == 0
    with pytest.raises(MetricError, match="'id' is there not at all"):
        compare(["byte_perplexity"], a.drop_columns("id"), b, {})


def test_undefined_on_one_side_has_a_reason_and_no_p_value():
    a, b = predicted([0, 1], [0, 1]), predicted([0, 1], [0, 0])
    found = compare(["precision"], a, b, {"labels": ["n", "y"]})["precision"]
    assert (found.difference, found.p_value) == (None, None)
    assert "never predicted" in found.reason


def test_holm_and_benjamini_hochberg_equal_their_definitions():
    p_values = [0.01, 0.04, 0.03, 0.5]
    assert holm(p_values) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values))
    assert holm([]) == benjamini_hochberg([]) == []


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_a_p_value_that_is_nan_leaves_the_others_as_they_are_without_it(adjust):
    some = adjust([0.01, 0.04, 0.03, 0.5])
    found = adjust([float("nan"), 0.01, 0.04, float("nan"), 0.03, 0.5])
    assert found == pytest.approx([float("nan"), *some[:2], float("nan"), *some[2:]], nan_ok=True)
    with pytest.raises(MetricError, match=r"p-value 1 is 1\.5; expected a number from 0 to 1"):
        adjust([0.5, 1.5])


@pytest.mark.parametrize("scale", [1.0, 0.1, 1 / 3])
def test_at_the_end_of_a_population_whose_mean_is_nothing_no_rounding_is_evidence(scale):
    rng = np.random.default_rng(0)
    for size in range(2, 60, 2):
        half = rng.random(size // 2) * scale
        differences = rng.permutation(np.concatenate([half, -half]))  # Σ is exactly 0: the null holds with equality
        assert EProcess(population=size).update(differences).e_value < 1e6
    rounded = EProcess(population=4).update([0.1 * scale, 0.1 * scale, 0.1 * scale, -0.3 * scale])
    assert rounded.e_value < 1e6  # of decimals that make nothing, and of floats that make 3e-17
    better = EProcess(population=4).update([0.1 * scale, -0.1 * scale, 0.1 * scale, -0.0999 * scale])
    assert better.e_value > 1e6  # all is seen, and the mean is above 0


def test_a_difference_that_is_no_number_is_refused():
    with pytest.raises(MetricError, match="difference 1 is nan, outside"):
        EProcess(population=3).update([0.5, float("nan")])


def test_e_process_finds_a_better_rival_and_not_an_equal_one():
    rng = np.random.default_rng(0)
    better = EProcess(population=1000).update(rng.choice([-1, 0, 1], size=500, p=[0.05, 0.7, 0.25]))
    assert is_dropped([1.0, better.e_value], num_candidates=5)
    equal = EProcess(population=1000).update(rng.choice([-1, 0, 1], size=500, p=[0.15, 0.7, 0.15]))
    assert not is_dropped([equal.e_value], num_candidates=5)


def test_e_process_is_certain_once_the_null_cannot_be_reached_any_more():
    process = EProcess(population=4).update([1, 1, 1])
    assert process.e_value == pytest.approx(np.exp(700))


def test_e_process_refuses_what_is_no_difference_of_the_population():
    with pytest.raises(ValueError, match="outside"):
        EProcess(population=3).update([1.5])
    with pytest.raises(ValueError, match="all 1 examples"):
        EProcess(population=1).update([0, 0])


def test_only_the_contiguous_prefix_of_the_permutation_is_looked_at():
    assert ready_prefix(["c", "a", "b"], {"a", "b"}) == 0
    assert ready_prefix(["c", "a", "b"], {"c", "b"}) == 1
    assert ready_prefix(["c", "a", "b"], {"c", "a", "b"}) == 3


def scored(num_rows: int, seed: int, gain: float = 0.0) -> list[pa.Table]:
    """Two models with a class, a score and a number for each record."""
    rng = np.random.default_rng(seed)
    target = (rng.random(num_rows) < 0.3).astype(np.int32)
    common = rng.normal(size=num_rows)
    tables = []
    for apart in (1.0 + gain, 1.0):
        score = apart * target + 0.7 * common + 0.7 * rng.normal(size=num_rows)
        columns = {"id": [f"r{k:04d}" for k in range(num_rows)], "target": target, "score": score.astype(np.float32)}
        tables.append(pa.table({**columns, "prediction": (score > 0.5).astype(np.int32)}))
    return tables


def numbered(num_rows: int, seed: int, gain: float = 0.0) -> list[pa.Table]:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=num_rows)
    ids = [f"r{k:04d}" for k in range(num_rows)]
    return [
        pa.table({"id": ids, "target": target, "prediction": target + rng.normal(size=num_rows) * size})
        for size in (1.0 - gain, 1.0)
    ]


RANKED = ["roc_auc", "average_precision", "accuracy", "f1", "mcc", "precision", "recall"]
NUMBERS = ["spearman", "kendall", "pearson", "r2", "mae"]


@pytest.mark.parametrize("grouped", [False, True])
def test_p_value_and_interval_never_contradict_each_other(monkeypatch, grouped):
    monkeypatch.setattr(permutation, "FLIPS", 199)
    seen = {True: 0, False: 0}
    for seed in range(12):
        for names, draw in ((RANKED, scored), (NUMBERS, numbered)):
            tables = draw(40, seed, gain=0.25 * (seed % 4))
            if grouped:
                group = pa.array([f"g{k // 4}" for k in range(40)])
                tables = [table.append_column("group", group) for table in tables]
            for name, found in compare(names, *tables, {"labels": ["n", "y"]} if draw is scored else {}).items():
                if found.p_value is not None:
                    seen[found.p_value <= 0.05] += 1
                    assert found.low <= found.difference <= found.high, name
                    assert (found.p_value <= 0.05) == (not found.low <= 0 <= found.high), (name, seed)
    assert min(seen.values()) > 10


def test_a_perfect_ranking_against_a_reversed_one_has_a_p_value():
    target = np.arange(40) % 2
    ids = [f"r{k:02d}" for k in range(40)]
    tables = [
        pa.table({"id": ids, "target": target.astype(np.int32), "score": (sign * target).astype(np.float32)})
        for sign in (1, -1)
    ]
    found = compare(["roc_auc"], *tables, {"labels": ["n", "y"]})["roc_auc"]
    assert found.difference == 1.0
    assert found.p_value <= 0.001
    assert 0 < found.low < found.high <= 1


@pytest.mark.parametrize(("names", "draw"), [(RANKED[:2], scored), (NUMBERS[:2], numbered)])
def test_equal_models_are_told_apart_in_about_five_of_a_hundred(monkeypatch, names, draw):
    monkeypatch.setattr(permutation, "FLIPS", 199)
    trials, found = 200, dict.fromkeys(names, 0)
    for seed in range(trials):
        compared = compare(names, *draw(50, seed + 1000), {"labels": ["n", "y"]} if draw is scored else {})
        for name in names:
            found[name] += compared[name].p_value <= 0.05
    assert all(1 <= count <= 20 for count in found.values())  # of 10 expected; binomial, 1 in 1,000 either side
