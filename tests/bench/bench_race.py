"""Races of 40 candidates × 10,000 simulated examples: the share that is scored, and how often the best is kept.

python tests/bench/bench_race.py --races 1000

Right and wrong are drawn as correlated as models' answers are: an example is hard for all alike (a shared normal of
variance 0.6 of 1). Accuracies are spaced evenly below 0.9.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.special import ndtri

from raybench.metrics.draw_order import looks
from raybench.results.race import judge, least_evidence

NUM_CANDIDATES, NUM_EXAMPLES, SHARED = 40, 10_000, 0.6


def race(rng: np.random.Generator, accuracies: np.ndarray) -> tuple[bool, float]:
    """Whether the best was kept, and the share of all examples that was scored."""
    hard_N = np.sqrt(SHARED) * rng.normal(size=NUM_EXAMPLES)
    own_KN = np.sqrt(1 - SHARED) * rng.normal(size=(NUM_CANDIDATES, NUM_EXAMPLES))
    values_KN = (hard_N + own_KN < ndtri(accuracies)[:, None]).astype(float)
    least = least_evidence(num_contestants=NUM_CANDIDATES, keep=1, alpha=0.05)
    alive, scored = np.arange(NUM_CANDIDATES), np.full(NUM_CANDIDATES, NUM_EXAMPLES)
    for upto in looks(NUM_EXAMPLES)[:-1]:
        told = judge(values_KN[alive, :upto], population=NUM_EXAMPLES, keep=1, least=least)
        gone = alive[[one.place for one in told]]
        scored[gone] = upto
        alive = np.setdiff1d(alive, gone)
    means = values_KN.mean(axis=1)
    return bool(means[alive].max() == means.max()), float(scored.sum() / values_KN.size)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--races", type=int, default=1000)
    races = parser.parse_args().races
    for spread in (0.3, 0.15, 0.08):
        rng = np.random.default_rng(0)
        found = [race(rng, np.linspace(0.9 - spread, 0.9, NUM_CANDIDATES)) for _ in range(races)]
        kept, share = np.mean(found, axis=0)
        print(f"accuracies {0.9 - spread:.2f}-0.90: {1 / share:.1f} x fewer examples, best kept {kept:.1%} of {races}")


if __name__ == "__main__":
    main()
