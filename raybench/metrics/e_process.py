"""Stopping early without cheating: a betting e-process on paired differences, drawn without replacement.

    process = EProcess(population=600)
    process = process.update(rival_minus_candidate)      # each in [-1, 1], in the order of a seeded permutation
    is_dropped([process.e_value], num_candidates=5)      # some rival's e-value is at least (K − 1) / α
    log_wealth(differences_PN, population=600)           # ln of the e-values of many pairs, [P, N]

Under the null that the rival is not better over the whole split, the e-value exceeds 1/α at any time with probability
at most α (Ville), however often one looks (Waudby-Smith and Ramdas 2020, arXiv:2006.04347). That holds for the order
of the permutation only: look at `ready_prefix`, never at what happens to be done, since fast examples are easy ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import exp, inf, isfinite, log

import numpy as np

from raybench.core.errors import MetricError

__all__ = ["EProcess", "is_dropped", "log_wealth", "ready_prefix"]

_MAX_BET = 0.5  # of what would bankrupt
_PRIOR_VARIANCE = 0.25
_ROUNDING = Fraction(1, 1 << 52)  # of a difference that was rounded when it was made: of 0.3 and 0.1, say
_FLOAT_ROUNDING = 1e-9  # of sums of differences in float64: where nothing else is left, `log_wealth` does not bet


@dataclass(frozen=True, slots=True, kw_only=True)
class EProcess:
    """Evidence that the mean difference over all `population` examples is above 0, after `n` of them."""

    population: int
    n: int = 0
    total: Fraction = Fraction(
        0
    )  # of the differences, exact: what the null leaves for the last examples is a difference
    squares: float = 0.0  # of its deviations from the running mean
    log_wealth: float = 0.0

    @property
    def e_value(self) -> float:
        return exp(min(self.log_wealth, 700.0))

    def update(self, differences: Iterable[float]) -> EProcess:
        """The process after more differences, in order."""
        process = self
        for difference in differences:
            process = process._step(float(difference))
        return process

    def _step(self, difference: float) -> EProcess:
        if not isfinite(difference) or not -1 <= difference <= 1:
            raise MetricError(f"difference {self.n} is {difference:g}, outside [-1, 1]; divide all by the largest")
        if self.n >= self.population:
            raise MetricError(f"all {self.population} examples have been seen; expected no more of them")
        x = (difference + 1) / 2
        # the mean of what is left, on the scale of x, if the null holds with equality; exact, since at the end of the
        # population nothing left and a rounding error are as different as an e-value of 0 and one of infinity
        left = self.population - self.n
        null = float((left - self.total) / (2 * left))
        mean = (0.5 + float(self.total + self.n) / 2) / (1 + self.n)
        variance = (_PRIOR_VARIANCE + self.squares) / (1 + self.n)
        wealth, total = self.log_wealth, self.total + Fraction(difference)
        if total > left - 1 + self.population * _ROUNDING:  # more has been gained than all that is left can take back
            wealth = inf
        elif null > 0:
            bet = (mean - null) / (variance + (mean - null) ** 2)
            wealth += log(1 + min(max(bet, 0.0), _MAX_BET / null) * (x - null))
        return replace(
            self,
            n=self.n + 1,
            total=total,
            squares=self.squares + (x - mean) ** 2,
            log_wealth=wealth,
        )


def log_wealth(differences_PN: np.ndarray, *, population: int, margin: float | np.ndarray = 0.0) -> np.ndarray:
    """ln of the e-value after each difference, [P, N], that the mean over the population is above `margin`.

    `margin` is from 0, one for all rows or [P, 1].

    The bets of `EProcess`, for rows of differences at once. Sums are float64, so within 1e-9 of the end of what the
    null allows no bet is made: the e-value is then less than it could be, never more.
    """
    d_PN = (differences_PN - margin) / (1 + margin)  # in [-1, 1], its mean above 0 where the given one is above margin
    n_N = np.arange(d_PN.shape[1])
    left_N = population - n_N
    total_PN = np.cumsum(d_PN, axis=1)
    before_PN = total_PN - d_PN
    x_PN = (d_PN + 1) / 2
    null_PN = (left_N - before_PN) / (2 * left_N)
    mean_PN = (0.5 + (before_PN + n_N) / 2) / (1 + n_N)
    squares_PN = (x_PN - mean_PN) ** 2
    variance_PN = (_PRIOR_VARIANCE + np.cumsum(squares_PN, axis=1) - squares_PN) / (1 + n_N)
    may_bet = null_PN > _FLOAT_ROUNDING
    bet_PN = (mean_PN - null_PN) / (variance_PN + (mean_PN - null_PN) ** 2)
    most_PN = _MAX_BET / np.where(may_bet, null_PN, 1.0)
    gain_PN = np.log1p(np.where(may_bet, np.clip(bet_PN, 0.0, most_PN), 0.0) * (x_PN - null_PN))
    is_sure = total_PN > left_N - 1 + population * _FLOAT_ROUNDING
    return np.where(np.logical_or.accumulate(is_sure, axis=1), inf, np.cumsum(gain_PN, axis=1))


def is_dropped(e_values: Collection[float], *, num_candidates: int, alpha: float = 0.05) -> bool:
    """Whether some rival's e-value suffices against a candidate, with all rivals tried."""
    return any(e_value >= (num_candidates - 1) / alpha for e_value in e_values)


def ready_prefix(order: Sequence[str], done: Collection[str]) -> int:
    """How many of the first examples of the permutation are done without a gap."""
    for place, example in enumerate(order):
        if example not in done:
            return place
    return len(order)
