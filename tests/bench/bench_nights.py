"""How often `raybench compare` alarms when nothing changed, and how often it finds a drop, in simulated nights.

    python tests/bench/bench_nights.py [--nights 5000]

A night compares 40 candidates on 1,000 examples each by McNemar's test, as accuracy is compared. Two fits that are as
good differ on 2–20 % of the examples, of which each has half; where a candidate has become worse by two points, it
loses so many more of those on which the fits differ.
"""

from __future__ import annotations

import argparse

import numpy as np

from raybench.results.regression import Verdict, decide, step
from tests.results.test_regression import NUM_EXAMPLES, difference, nights

_DROP = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=5000)
    num_nights = parser.parse_args().nights
    rng = np.random.default_rng(0)
    lost, gained = nights(rng, num_nights)
    alarms = [Verdict.REGRESSION in verdicts(*pair) for pair in zip(lost, gained, strict=True)]
    runs = np.array(alarms[: num_nights // 20 * 20]).reshape(-1, 20).sum(axis=1)
    print(f"nights of 40 candidates in which nothing changed: {np.mean(alarms):.2%} of {num_nights:,} alarm;")
    print(f"of 20 nights {runs.mean():.2f} on average, at most {runs.max()}")
    print(f"a drop of {_DROP:.0%} of {NUM_EXAMPLES:,} examples is found, by how many of them the two fits differ on:")
    print("differ on   one candidate   one of 40   5 of 40   all of 40")
    for differ in (0.022, 0.025, 0.03, 0.04, 0.06, 0.08):
        found = [power(rng, differ, num_worse, num_nights // 20) for num_worse in (1, 5, 40)]
        alone = power(rng, differ, 1, num_nights, num_candidates=1)
        print(f"{differ:9.1%}   {alone:13.0%}   {found[0]:9.0%}   {found[1]:7.0%}   {found[2]:9.0%}")


def power(rng: np.random.Generator, differ: float, num_worse: int, num_nights: int, num_candidates: int = 40) -> float:
    """The share of those that are worse that is found."""
    shares = []
    for lost, gained in zip(*nights(rng, num_nights, num_candidates), strict=True):
        discordant = rng.binomial(NUM_EXAMPLES, differ, num_worse)
        lost[:num_worse] = rng.binomial(discordant, (differ + _DROP) / (2 * differ))
        gained[:num_worse] = discordant - lost[:num_worse]
        shares += [one is Verdict.REGRESSION for one in verdicts(lost, gained)[:num_worse]]
    return float(np.mean(shares))


def verdicts(lost: np.ndarray, gained: np.ndarray) -> list[Verdict]:
    steps = [
        step([difference(int(a), int(b))], higher_is_better=True, noise=None) for a, b in zip(lost, gained, strict=True)
    ]
    return [one.verdict for one in decide(steps, alpha=0.05, min_difference=[0.0] * len(steps))]


if __name__ == "__main__":
    main()
