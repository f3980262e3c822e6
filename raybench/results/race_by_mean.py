"""Races by a mean of bounded values: a betting e-process a pair, which holds however often one looks.

    least = least_evidence(num_contestants=12, keep=1, alpha=0.05)
    pairs = judge(values_KN, population=5_000, keep=1, least=least)

At a look the best `keep` so far are the leaders. A configuration is stopped when the e-process
(`metrics/e_process.py`) of each leader against it has once exceeded keep · (K − 1) / alpha.

Why that is right: say a configuration is truly among the best `keep`. Then one of the leaders that stop it is truly not
better, and that pair's e-process, under its null, exceeds keep · (K − 1) / alpha with probability at most
alpha / (keep · (K − 1)), however often one looks (Ville). It has K − 1 rivals, and there are `keep` such
configurations: all of them are kept with probability at least 1 − alpha. The bound told of one that is stopped is the
same test of margins above 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.metrics.e_process import log_wealth
from raybench.planning.races import PlannedRace
from raybench.results.race_judge import Judge, Verdict

__all__ = ["ByMean", "Pair", "judge", "least_evidence", "least_margin"]

_MARGIN = 0.001  # of the metric's range: bounds are told in steps of it
_MARGINS, _MARGINS_AT_ONCE = _MARGIN * np.arange(1, 1001), 20
_AT_ONCE = 1 << 22  # values


class Pair(NamedTuple):
    """Who is surely not among the best, and the leader that is best so far."""

    place: int
    leader: int


def judge(values_KN: np.ndarray, *, population: int, keep: int, least: float) -> list[Pair]:
    """Of those still in a race the ones to stop; values in [0, 1], larger is better, in the order of the draw.

    `population` is how many examples there are in all, `least` ln of what e-values must reach (`least_evidence`).
    """
    leaders = np.argsort(-values_KN.mean(axis=1), kind="stable")[:keep]
    others = np.setdiff1d(np.arange(len(values_KN)), leaders)
    if len(leaders) < keep or not others.size:
        return []
    is_worse = np.ones(others.size, dtype=bool)
    for leader in leaders:
        for part in np.array_split(np.arange(others.size), -(-others.size * values_KN.shape[1] // _AT_ONCE)):
            wealth_PN = log_wealth(values_KN[leader] - values_KN[others[part]], population=population)
            is_worse[part] &= wealth_PN.max(axis=1) >= least
    return [Pair(int(place), int(leaders[0])) for place in others[is_worse]]


def least_evidence(*, num_contestants: int, keep: int, alpha: float) -> float:
    """ln of the e-value that every leader must have reached against whom is stopped."""
    return math.log(keep * (num_contestants - 1) / alpha)


def least_margin(differences_N: np.ndarray, *, population: int, least: float) -> float:
    """By how much at least the mean of these differences in [-1, 1] is above 0: every smaller margin is excluded."""
    for some in np.array_split(_MARGINS, len(_MARGINS) // _MARGINS_AT_ONCE):
        wealth_PN = log_wealth(differences_N[None], population=population, margin=some[:, None])
        excluded = np.logical_and.accumulate(wealth_PN.max(axis=1) >= least)
        if not excluded.all():
            return max(0.0, float(some[excluded.sum()]) - _MARGIN)
    return float(_MARGINS[-1])


class ByMean(Judge):
    """Values are what examples are worth, float64 in the metric's own unit and range."""

    sure = "anytime"

    def __init__(self, rules: PlannedRace, num_examples: int) -> None:
        self._rules, self._num_examples = rules, num_examples
        trial_ids = [trial_id for one in rules.contestants for trial_id in one.trial_ids]
        self._values = {trial_id: np.zeros(num_examples) for trial_id in trial_ids}

    def learn(self, trial_id: str, places: np.ndarray, values: np.ndarray | pa.Table) -> None:
        self._values[trial_id][places] = values

    def verdicts(self, contestants: Sequence[tuple[str, ...]], upto: int) -> list[Verdict]:
        rules = self._rules
        low, high = rules.range
        scaled_KN = (np.stack([self._worth(ids, upto) for ids in contestants]) - low) / (high - low)
        scaled_KN = scaled_KN if rules.higher_is_better else 1 - scaled_KN
        least = least_evidence(num_contestants=len(rules.contestants), keep=rules.keep, alpha=rules.alpha)
        found = []
        for place, leader in judge(scaled_KN, population=self._num_examples, keep=rules.keep, least=least):
            differences_N = scaled_KN[leader] - scaled_KN[place]
            margin = least_margin(differences_N, population=self._num_examples, least=least)
            found.append(Verdict(place, leader, margin * (high - low)))
        return found

    def _worth(self, trial_ids: tuple[str, ...], upto: int) -> np.ndarray:
        """The mean over its seeds of what the first examples are worth."""
        return np.mean([self._values[one][:upto] for one in trial_ids], axis=0)
