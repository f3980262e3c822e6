"""Stopping early without cheating: a betting e-process on paired differences, drawn without replacement.

    process = EProcess(population=600)
    process = process.update(rival_minus_candidate)      # each in [-1, 1], in the order of a seeded permutation
    is_dropped([process.e_value], num_candidates=5)      # some rival's e-value is at least (K − 1) / α

Under the null that the rival is not better over the whole split, the e-value exceeds 1/α at any time with probability
at most α (Ville), however often one looks (Waudby-Smith and Ramdas 2020, arXiv:2006.04347). That holds for the order
of the permutation only: look at `ready_prefix`, never at what happens to be done, since fast examples are easy ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log

__all__ = ["EProcess", "is_dropped", "ready_prefix"]

_MAX_BET = 0.5  # of what would bankrupt
_PRIOR_VARIANCE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class EProcess:
    """Evidence that the mean difference over all `population` examples is above 0, after `n` of them."""

    population: int
    n: int = 0
    total: float = 0.0  # of (difference + 1) / 2, which lies in [0, 1]
    squares: float = 0.0  # of its deviations from the running mean
    log_wealth: float = 0.0

    @property
    def e_value(self) -> float:
        return exp(min(self.log_wealth, 700.0))

    def update(self, differences: Iterable[float]) -> EProcess:
        """The process after more differences, in order."""
        process = self
        for difference in differences:
            process = process._step((difference + 1) / 2)
        return process

    def _step(self, x: float) -> EProcess:
        if not 0 <= x <= 1:
            raise ValueError(f"a difference of {2 * x - 1:g} is outside [-1, 1]")
        if self.n >= self.population:
            raise ValueError(f"all {self.population} examples have been seen")
        # the mean of what is left if the null holds with equality
        null = (self.population / 2 - self.total) / (self.population - self.n)
        mean = (0.5 + self.total) / (1 + self.n)
        variance = (_PRIOR_VARIANCE + self.squares) / (1 + self.n)
        if null < 0:  # more has been gained than the null allows in all
            wealth = inf
        elif null == 0:
            wealth = inf if x > 0 else self.log_wealth
        else:
            bet = (mean - null) / (variance + (mean - null) ** 2)
            wealth = self.log_wealth + log(1 + min(max(bet, 0.0), _MAX_BET / null) * (x - null))
        return replace(
            self,
            n=self.n + 1,
            total=self.total + x,
            squares=self.squares + (x - mean) ** 2,
            log_wealth=wealth,
        )


def is_dropped(e_values: Collection[float], *, num_candidates: int, alpha: float = 0.05) -> bool:
    """Whether some rival's e-value suffices against a candidate, with all rivals tried."""
    return any(e_value >= (num_candidates - 1) / alpha for e_value in e_values)


def ready_prefix(order: Sequence[str], done: Collection[str]) -> int:
    """How many of the first examples of the permutation are done without a gap."""
    for place, example in enumerate(order):
        if example not in done:
            return place
    return len(order)
