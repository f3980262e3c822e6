"""Coverage of the intervals: over seeded simulations a nominal 95 % interval holds the truth in about 95 %.

A metric alone is judged by the binomial error of its number of simulations; all together lie within 93–97 %.
"""

import numpy as np
import pyarrow as pa
import pytest

from raybench.metrics import evaluate, permutation
from raybench.metrics.average_precision import _bias, average_precision
from raybench.metrics.influence import edge_variance
from raybench.metrics.roc import Split
from raybench.metrics.scoring import Scorer
from tests.bench import bench_intervals


def classified(rng: np.random.Generator, num_rows: int) -> pa.Table:
    """Four classes of unequal share, each recognised with its own probability, and a binary score beside."""
    target = rng.choice(4, size=num_rows, p=[0.4, 0.3, 0.2, 0.1])
    right = rng.random(num_rows) < np.array([0.9, 0.8, 0.7, 0.6])[target]
    prediction = np.where(right, target, rng.integers(0, 4, num_rows))
    return pa.table(
        {
            "id": [f"r{k}" for k in range(num_rows)],
            "target": target.astype(np.int32),
            "prediction": prediction.astype(np.int32),
            "nll": rng.exponential(size=num_rows) * np.where(right, 0.3, 2.0),
        }
    )


def scored(rng: np.random.Generator, num_rows: int) -> pa.Table:
    target = (rng.random(num_rows) < 0.4).astype(np.int32)
    score = (rng.normal(size=num_rows) + target).astype(np.float32)
    return pa.table({"id": [f"r{k}" for k in range(num_rows)], "target": target, "score": score})


def numbers(rng: np.random.Generator, num_rows: int) -> pa.Table:
    target = rng.normal(size=num_rows)
    prediction = target + rng.normal(size=num_rows) * 0.7
    return pa.table({"id": [f"r{k}" for k in range(num_rows)], "target": target, "prediction": prediction})


def worded(rng: np.random.Generator, num_rows: int) -> pa.Table:
    tokens = rng.integers(5, 40, num_rows)
    nll = rng.gamma(tokens * 2.0, 1.0)
    return pa.table({"id": [f"r{k}" for k in range(num_rows)], "nll": nll, "num_tokens": tokens})


def clustered(rng: np.random.Generator, num_rows: int) -> pa.Table:
    """Clusters of ten whose members are right together."""
    group = np.arange(num_rows) // 10
    target = np.zeros(num_rows, dtype=np.int32)
    right = rng.random(num_rows) < np.clip(0.7 + 0.2 * rng.normal(size=group[-1] + 1), 0, 1)[group]
    prediction = np.where(right, 0, 1).astype(np.int32)
    return pa.table(
        {"id": [f"r{k}" for k in range(num_rows)], "target": target, "prediction": prediction, "group": group}
    )


CLASSES = ["accuracy", "macro_f1", "mcc", "cohen_kappa", "balanced_accuracy", "log_loss"]
CASES = {  # how records are drawn, metrics, records, simulations
    "classification": (classified, CLASSES, 300, 600),
    "scores": (scored, ["roc_auc", "average_precision"], 250, 500),
    "numbers": (numbers, ["mse", "rmse", "mae", "r2", "pearson", "spearman"], 150, 250),
    "language": (worded, ["perplexity"], 100, 250),
    "clusters": (clustered, ["accuracy"], 400, 250),
}


@pytest.mark.parametrize("case", CASES)
def test_intervals_hold_the_truth_as_often_as_they_say(case):
    draw, names, num_rows, simulations = CASES[case]
    config = {"labels": list("abcd") if case == "classification" else ["a", "b"]}
    population = draw(np.random.default_rng(1), 200_000)
    alone = [column for column in population.column_names if column != "group"]
    truth = {name: score.value for name, score in evaluate(names, population.select(alone), config).items()}
    held = dict.fromkeys(names, 0)
    for seed in range(simulations):
        scores = evaluate(names, draw(np.random.default_rng([seed, 7]), num_rows), config, seed=seed)
        for name, score in scores.items():
            held[name] += score.low <= truth[name] <= score.high
    coverage = {name: count / simulations for name, count in held.items()}
    assert 0.93 <= np.mean(list(coverage.values())) <= 0.97
    assert min(coverage.values()) >= 0.91  # 0.95 less 2.9 standard errors of 250 simulations


def test_average_precision_is_too_large_by_what_is_taken_out_of_the_low_end():
    def draw(rng, size):
        positive = rng.random(size) < 0.3
        return Split(np.arange(size), rng.normal(size=size) + 0.7 * positive, positive, 1.0)

    whole = draw(np.random.default_rng(0), 100_000)
    samples = [split for k in range(1500) if (split := draw(np.random.default_rng([k, 1]), 30)).positive.any()]
    values = np.array([average_precision(split.scores, split.positive) for split in samples])
    found = np.array([_bias(iter([split])) for split in samples])
    too_large = values.mean() - average_precision(whole.scores, whole.positive)
    assert too_large > 0.03
    assert found.mean() == pytest.approx(too_large, rel=0.25)


def test_a_rare_class_without_a_mistake_beside_worse_ones_leaves_the_mean_open():
    good, worse = np.array([1.0, 1.0, 1.0]), np.array([1.0, 0.8, 0.6])
    rare, many = np.array([2, 40, 40]), np.array([400, 40, 40])
    assert edge_variance(worse, rare, (0, 1)) > 20 * edge_variance(worse, many, (0, 1)) > 0
    assert edge_variance(-worse, rare, (-1, 0)) == pytest.approx(edge_variance(worse, rare, (0, 1)))
    assert edge_variance(good, rare, (0, 1)) == edge_variance(np.array([0.9, 0.8, np.nan]), rare, (0, 1)) == 0


@pytest.mark.parametrize(
    ("family", "setting", "names"),
    [
        ("several", "hard", ["weighted_average_precision", "weighted_roc_auc", "roc_auc_ovo"]),
        ("classes", "imbalanced", ["macro_f1", "mcc", "balanced_accuracy", "weighted_f1"]),
        ("labels", "imbalanced", ["multilabel_macro_f1", "multilabel_micro_f1", "multilabel_average_precision"]),
    ],
)
def test_a_part_of_the_measured_grid_holds(family, setting, names, monkeypatch):
    """Few simulations of tests/bench/bench_intervals.py at n = 50; the whole is in raybench/metrics/measured.json."""
    small = bench_intervals.FAMILIES[family]._replace(metrics=names, size=3000)
    monkeypatch.setitem(bench_intervals.FAMILIES, family, small)
    monkeypatch.setattr(permutation, "FLIPS", 999)
    monkeypatch.setattr(Scorer, "_classes", Scorer._classes)  # and put back
    rows = bench_intervals.one((family, setting, 50, 60, 12, 1))
    assert [row["metric"] for row in rows] == names
    for row in rows:
        assert row["coverage"] >= 85, row  # 95 less 3.5 standard errors
        assert row["level"] <= 25, row  # 5 and 3 standard errors
    assert np.mean([row["coverage"] for row in rows]) >= 92
