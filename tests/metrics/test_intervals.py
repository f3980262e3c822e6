"""Coverage of the intervals: over seeded simulations a nominal 95 % interval holds the truth in about 95 %.

A metric alone is judged by the binomial error of its number of simulations; all together lie within 93–97 %.
"""

import numpy as np
import pyarrow as pa
import pytest

from raybench.metrics import evaluate


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
