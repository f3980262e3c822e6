"""Races of many candidates: the share of examples that is scored, and how often the best is kept.

python tests/bench/bench_race.py --races 1000                   # 40 candidates × 10,000 examples, simulated
python tests/bench/bench_race.py --races 1000 --store STORE     # the records of a real run, drawn in 1,000 orders
python tests/bench/bench_race.py --races 100 --metric macro_f1 [--store STORE]   # by asymptotic bounds
python tests/bench/bench_race.py --races 200 --metric macro_f1 --equals          # how often they lose the best

Simulated, right and wrong are drawn as correlated as models' answers are: an example is hard for all alike (a shared
normal of variance 0.6 of 1). Accuracies are spaced evenly below 0.9. Of a store the last finished run is read, whose
first dataset's trials have accuracy; they race as its job would let them, by each seed's order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from scipy.special import ndtri

from raybench.metrics import MetricSet
from raybench.metrics.bounded import example_values, is_bounded_mean
from raybench.metrics.draw_order import draw_keys, looks
from raybench.metrics.worth import worth_of
from raybench.results.race_by_influence import judge_worths, level_of
from raybench.results.race_by_mean import judge, least_evidence
from raybench.results.stored import find_run, read_run, read_whole_records
from raybench.store import Store

NUM_CANDIDATES, NUM_EXAMPLES, SHARED = 40, 10_000, 0.6


def raced(
    num_candidates: int, num_examples: int, out: Callable[[np.ndarray, int], np.ndarray]
) -> tuple[np.ndarray, float]:
    """Who was kept, and the share of all examples that was scored; `out` says who of those left goes at a look."""
    alive, scored = np.arange(num_candidates), np.full(num_candidates, num_examples)
    for upto in looks(num_examples)[:-1]:
        gone = out(alive, upto)
        scored[gone] = upto
        alive = np.setdiff1d(alive, gone)
    return alive, float(scored.sum() / (num_candidates * num_examples))


def race(values_KN: np.ndarray) -> tuple[bool, float]:
    """Whether the best was kept, and the share; values in the order of the draw."""
    num_candidates, num_examples = values_KN.shape
    least = least_evidence(num_contestants=num_candidates, keep=1, alpha=0.05)

    def out(alive: np.ndarray, upto: int) -> np.ndarray:
        told = judge(values_KN[alive, :upto], population=num_examples, keep=1, least=least)
        return alive[[one.place for one in told]]

    alive, share = raced(num_candidates, num_examples, out)
    means = values_KN.mean(axis=1)
    return bool(means[alive].max() == means.max()), share


def race_by_influence(tables: list[pa.Table], order: np.ndarray, metrics: MetricSet) -> tuple[bool, float]:
    """The same by a metric of all records; tables of equal ids."""
    (name,) = metrics.names
    num_candidates, num_examples = len(tables), len(order)
    level = level_of(num_contestants=num_candidates, keep=1, alpha=0.05, num_looks=len(looks(num_examples)))

    def out(alive: np.ndarray, upto: int) -> np.ndarray:
        rows = pa.array(order[:upto])
        worths = [worth_of(metrics, name, tables[place].take(rows)) for place in alive]
        share = upto / num_examples
        told = judge_worths(worths, keep=1, level=level, share=share, higher_is_better=True)
        return alive[[one.place for one in told]]

    alive, share = raced(num_candidates, num_examples, out)
    scores = [metrics.compute(metrics.states(table), lambda table=table: table)[name].value for table in tables]
    return max(scores[place] for place in alive) == max(scores), share


def simulated(rng: np.random.Generator, accuracies: np.ndarray) -> np.ndarray:
    hard_N = np.sqrt(SHARED) * rng.normal(size=NUM_EXAMPLES)
    own_KN = np.sqrt(1 - SHARED) * rng.normal(size=(NUM_CANDIDATES, NUM_EXAMPLES))
    return (hard_N + own_KN < ndtri(accuracies)[:, None]).astype(float)


def simulated_tables(
    rng: np.random.Generator, accuracies: np.ndarray, num_examples: int, share: float = 1 / 3
) -> list[pa.Table]:
    """Two classes, a share of the one; each model's score of an example is the truth blurred, a part of it alike."""
    target_N = (rng.random(num_examples) < share).astype(np.int64)
    hard_N = np.sqrt(SHARED) * rng.normal(size=num_examples)
    ids, tables = [str(i) for i in range(num_examples)], []
    for accuracy in accuracies:
        margin_N = ndtri(accuracy) - hard_N - np.sqrt(1 - SHARED) * rng.normal(size=num_examples)
        positive_N = np.where(target_N == 1, margin_N, -margin_N)
        columns = {"id": ids, "target": target_N, "prediction": (positive_N > 0).astype(np.int64)}
        tables.append(pa.table({**columns, "score": positive_N}))
    return tables


def recorded(url: str) -> tuple[list[pa.Table], dict[str, list[str]], str]:
    """The records of a run's first dataset, by id, the metrics' configuration, and what was read."""
    store = Store.open(url)
    run = read_run(store, find_run(store, None), lambda path, reason: print(path, reason, file=sys.stderr))
    trials = [one for one in run.trials if one.trial.dataset == run.trials[0].trial.dataset]
    tables = [read_whole_records(store, one.row, lambda path, reason: None) for one in trials]
    ids = tables[0].column("id").to_pylist()
    assert all(table.column("id").to_pylist() == ids for table in tables)
    config = {"labels": list(trials[0].trial.dataset.labels)}
    return tables, config, f"{len(trials)} candidates × {len(ids):,} records of {run.run_id}"


def tell(what: str, found: list[tuple[bool, float]]) -> None:
    kept, share = np.mean(found, axis=0)
    print(f"{what}: {1 / share:.1f} x fewer examples, best kept {kept:.1%} of {len(found)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--races", type=int, default=1000)
    parser.add_argument("--store")
    parser.add_argument("--metric", default="accuracy")
    parser.add_argument(
        "--equals", action="store_true", help="8 candidates, 4 as good as the best but for half a point"
    )
    asked = parser.parse_args()
    if asked.store:
        tables, config, what = recorded(asked.store)
        metrics = MetricSet((asked.metric,), config)
        orders = (np.argsort(draw_keys(tables[0].column("id"), seed=seed)) for seed in range(asked.races))
        metric, options = metrics.metric(asked.metric)
        if is_bounded_mean(metric):
            values_KN = np.stack([example_values(metric, options, table) for table in tables])
            tell(what, [race(values_KN[:, order]) for order in orders])
        else:
            tables = [table.select(sorted(metrics.columns)) for table in tables]
            tell(f"{what}, {asked.metric}", [race_by_influence(tables, order, metrics) for order in orders])
        return
    if asked.equals:
        metrics = MetricSet((asked.metric,), {"labels": ["no", "yes"]})
        accuracies = np.array([0.9, *[0.895] * 4, *[0.7] * 3])
        for num_examples, share in ((400, 0.3), (400, 0.05), (2000, 0.02)):
            rng, order = np.random.default_rng(0), np.arange(num_examples)
            drawn = (simulated_tables(rng, accuracies, num_examples, share) for _ in range(asked.races))
            found = [race_by_influence(tables, order, metrics) for tables in drawn]
            tell(f"{asked.metric}, four near the best, {num_examples} examples, {share:.0%} of one class", found)
        return
    for spread in (0.3, 0.15, 0.08):
        rng = np.random.default_rng(0)
        accuracies = np.linspace(0.9 - spread, 0.9, NUM_CANDIDATES)
        if asked.metric == "accuracy":
            found = [race(simulated(rng, accuracies)) for _ in range(asked.races)]
        else:
            metrics = MetricSet((asked.metric,), {"labels": ["no", "yes"]})
            found = [
                race_by_influence(simulated_tables(rng, accuracies, NUM_EXAMPLES), np.arange(NUM_EXAMPLES), metrics)
                for _ in range(asked.races)
            ]
        tell(f"{asked.metric}, accuracies {0.9 - spread:.2f}-0.90", found)


if __name__ == "__main__":
    main()
