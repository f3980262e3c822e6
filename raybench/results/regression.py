"""Whether a change is a regression: pure decisions on paired differences of a family of comparisons.

    steps = [step(differences, higher_is_better=True, noise=noise) for …]
    decisions = decide(steps, alpha=0.05, min_difference=[0.01, …])
    exit_code(one.verdict for one in decisions)

A regression is a drop that is significant at a false-discovery rate of `alpha` over the whole family (Benjamini and
Hochberg 1995, of one-sided p-values), and at least as large as the smallest that matters. Where nothing has changed
that rate is the chance of any alarm. It is none where the 95 % interval excludes a drop as large as matters; what is
neither could not be told. Improvements are decided alike, as a family of their own.

Several seeds of a cell: the mean of their differences. Its standard error joins that of sampling examples, which seeds
share, with the noise of seeds, as `seeds.py` does for values; the noise is pooled over a candidate's configurations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from raybench.metrics.compare import Difference
from raybench.metrics.permutation import benjamini_hochberg

__all__ = ["Decision", "Noise", "Step", "Verdict", "decide", "exit_code", "pooled_noise", "step"]

_NORMAL_975 = 1.959963984540054


class Verdict(StrEnum):
    """What is said of a change."""

    REGRESSION = "regression"
    IMPROVED = "improved"
    NONE = "no regression"
    UNKNOWN = "could not tell"


class Noise(NamedTuple):
    """The standard deviation between seeds of a score, and the degrees of freedom that it is estimated from."""

    deviation: float
    degrees: int


class Step(NamedTuple):
    """The change of one metric of one cell: `drop` is positive where it is worse, `[least, most]` its 95 % interval.

    `p_worse` and `p_better` are one-sided. All are NaN where there is no test.
    """

    drop: float
    least: float
    most: float
    p_worse: float
    p_better: float


class Decision(NamedTuple):
    """A verdict, and the one-sided p-value of the side that the change is on, adjusted for the family."""

    verdict: Verdict
    p_value: float


_UNTESTED = Step(math.nan, math.nan, math.nan, math.nan, math.nan)


def pooled_noise(groups: Iterable[Sequence[float]]) -> Noise | None:
    """Of the values of several seeds, a group a configuration and run; None where no group has two."""
    squares, degrees = 0.0, 0
    for values in groups:
        if len(values) > 1:
            mean = math.fsum(values) / len(values)
            squares += math.fsum((value - mean) ** 2 for value in values)
            degrees += len(values) - 1
    return Noise(math.sqrt(squares / degrees), degrees) if degrees else None


def step(differences: Sequence[Difference], *, higher_is_better: bool, noise: Noise | None) -> Step:
    """Of a cell's differences after − before, one a seed; `noise` is that of one score."""
    sign = -1 if higher_is_better else 1
    drops = [sign * one.difference for one in differences if one.difference is not None]
    ends = [
        sorted((sign * one.low, sign * one.high)) if one.low is not None and one.high is not None else None
        for one in differences
    ]
    bounds = [end for end in ends if end is not None]
    if not drops or len(drops) < len(differences) or not all(map(math.isfinite, drops)):
        return _UNTESTED
    drop = math.fsum(drops) / len(drops)
    p_values = [one.p_value for one in differences if one.p_value is not None]
    if len(p_values) < len(differences):
        return _UNTESTED._replace(drop=drop)
    if len(differences) == 1 and noise is None:
        (p_value,) = p_values
        least, most = bounds[0] if bounds else (-math.inf, math.inf)
        return Step(drop, least, most, *_one_sided(drop, p_value))
    if len(bounds) < len(differences):
        return _UNTESTED._replace(drop=drop)
    below = math.fsum(one - end[0] for one, end in zip(drops, bounds, strict=True)) / len(drops)
    above = math.fsum(end[1] - one for one, end in zip(drops, bounds, strict=True)) / len(drops)
    between = noise.deviation * math.sqrt(2 / len(drops)) if noise is not None else 0.0  # a fit of each run
    degrees = noise.degrees if noise is not None else 1
    p_worse = _tail(drop, below / _NORMAL_975, between, degrees)
    p_better = _tail(-drop, above / _NORMAL_975, between, degrees)
    if len(differences) == 1:  # never less than what the paired test says of these two fits
        exact = _one_sided(drop, p_values[0])
        p_worse, p_better = max(p_worse, exact[0]), max(p_better, exact[1])
    quantile = _student_quantile(degrees)
    return Step(
        drop,
        drop - math.hypot(below, quantile * between),
        drop + math.hypot(above, quantile * between),
        p_worse,
        p_better,
    )


def decide(steps: Sequence[Step], *, alpha: float, min_difference: Sequence[float]) -> list[Decision]:
    """One decision a step; `min_difference` is the smallest drop or gain that matters, in the unit of each metric."""
    worse, better = (benjamini_hochberg([getattr(one, name) for one in steps]) for name in ("p_worse", "p_better"))
    decisions = []
    for one, p_worse, p_better, matters in zip(steps, worse, better, min_difference, strict=True):
        p_value = p_worse if one.drop >= 0 else p_better
        if p_value <= alpha and one.drop != 0 and abs(one.drop) >= matters:
            verdict = Verdict.REGRESSION if one.drop > 0 else Verdict.IMPROVED
        elif math.isnan(one.p_worse) or (matters > 0 and one.most >= matters):
            verdict = Verdict.UNKNOWN
        else:
            verdict = Verdict.NONE
        decisions.append(Decision(verdict, p_value))
    return decisions


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """1 where anything is a regression; 2 where nothing was compared or something could not be told; else 0."""
    found = set(verdicts)
    if Verdict.REGRESSION in found:
        return 1
    return 2 if not found or Verdict.UNKNOWN in found else 0


def _one_sided(drop: float, p_value: float) -> tuple[float, float]:
    """The halves of a two-sided p-value of a symmetric test: of being worse, and of being better."""
    toward, away = p_value / 2, 1 - p_value / 2
    return (toward, away) if drop > 0 else (away, toward) if drop < 0 else (0.5, 0.5)


def _tail(drop: float, error: float, between: float, degrees: int) -> float:
    """P(Student's t above drop over its error); degrees by Welch and Satterthwaite, the examples' own without end."""
    from scipy.special import ndtr, stdtr

    whole = math.hypot(error, between)
    if whole == 0:
        return 0.5 if drop == 0 else 0.0 if drop > 0 else 1.0
    if between < whole / 1000:
        return float(ndtr(-drop / whole))  # 1e12 degrees of freedom and more
    return float(stdtr(degrees * (whole / between) ** 4, -drop / whole))


def _student_quantile(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))
