"""Races of many candidates: the share of examples that is scored, and how often the best is kept.

python tests/bench/bench_race.py --races 1000                   # 40 candidates × 10,000 examples, simulated
python tests/bench/bench_race.py --races 1000 --store STORE     # the records of a real run, drawn in 1,000 orders

Simulated, right and wrong are drawn as correlated as models' answers are: an example is hard for all alike (a shared
normal of variance 0.6 of 1). Accuracies are spaced evenly below 0.9. Of a store the last finished run is read, whose
first dataset's trials have accuracy; they race as its job would let them, by each seed's order.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from scipy.special import ndtri

from raybench.metrics import MetricSet
from raybench.metrics.bounded import example_values
from raybench.metrics.draw_order import draw_keys, looks
from raybench.results.race import judge, least_evidence
from raybench.results.stored import find_run, read_run, read_whole_records
from raybench.store import Store

NUM_CANDIDATES, NUM_EXAMPLES, SHARED = 40, 10_000, 0.6


def race(values_KN: np.ndarray) -> tuple[bool, float]:
    """Whether the best was kept, and the share of all examples that was scored; values in the order of the draw."""
    num_candidates, num_examples = values_KN.shape
    least = least_evidence(num_contestants=num_candidates, keep=1, alpha=0.05)
    alive, scored = np.arange(num_candidates), np.full(num_candidates, num_examples)
    for upto in looks(num_examples)[:-1]:
        told = judge(values_KN[alive, :upto], population=num_examples, keep=1, least=least)
        gone = alive[[one.place for one in told]]
        scored[gone] = upto
        alive = np.setdiff1d(alive, gone)
    means = values_KN.mean(axis=1)
    return bool(means[alive].max() == means.max()), float(scored.sum() / values_KN.size)


def simulated(rng: np.random.Generator, accuracies: np.ndarray) -> np.ndarray:
    hard_N = np.sqrt(SHARED) * rng.normal(size=NUM_EXAMPLES)
    own_KN = np.sqrt(1 - SHARED) * rng.normal(size=(NUM_CANDIDATES, NUM_EXAMPLES))
    return (hard_N + own_KN < ndtri(accuracies)[:, None]).astype(float)


def recorded(url: str) -> tuple[np.ndarray, list[str], str]:
    """Who was right where, [candidates, examples], the examples' ids, and what was read."""
    store = Store.open(url)
    run = read_run(store, find_run(store, None), lambda path, reason: print(path, reason, file=sys.stderr))
    trials = [one for one in run.trials if one.trial.dataset == run.trials[0].trial.dataset]
    metric, options = MetricSet(("accuracy",), {"labels": list(trials[0].trial.dataset.labels)}).metric("accuracy")
    tables = [read_whole_records(store, one.row, lambda path, reason: None) for one in trials]
    ids = tables[0].column("id").to_pylist()
    assert all(table.column("id").to_pylist() == ids for table in tables)
    values_KN = np.stack([example_values(metric, options, table) for table in tables])
    return values_KN, ids, f"{len(trials)} candidates × {len(ids):,} records of {run.run_id}"


def tell(what: str, found: list[tuple[bool, float]]) -> None:
    kept, share = np.mean(found, axis=0)
    print(f"{what}: {1 / share:.1f} x fewer examples, best kept {kept:.1%} of {len(found)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--races", type=int, default=1000)
    parser.add_argument("--store")
    asked = parser.parse_args()
    if asked.store:
        values_KN, ids, what = recorded(asked.store)
        orders = (np.argsort(draw_keys(ids, seed=seed)) for seed in range(asked.races))
        tell(what, [race(values_KN[:, order]) for order in orders])
        return
    for spread in (0.3, 0.15, 0.08):
        rng = np.random.default_rng(0)
        accuracies = np.linspace(0.9 - spread, 0.9, NUM_CANDIDATES)
        found = [race(simulated(rng, accuracies)) for _ in range(asked.races)]
        tell(f"accuracies {0.9 - spread:.2f}-0.90", found)


if __name__ == "__main__":
    main()
