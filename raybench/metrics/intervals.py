"""95 % intervals from a value and its variance, on a scale where the range has no ends, and from exact sums.

    wilson(98, 100)                                              # (0.930, 0.994), inside [0, 1] also at 0 and at all
    interval_of(0.93, variance=1e-4, df=40, bounds=(0, 1), trials=200)

A value in a bounded range is read as a proportion of as many trials as give it its variance (the effective sample size
of Korn and Graubard 1998), so Wilson's interval serves every mean and ratio and keeps its width at the ends, where no
variance shows and the trials are counted instead. Correlations go by atanh, what has one end by the logarithm.
No interval here has width 0: where nothing says how wide it is, there is none.
"""

from __future__ import annotations

from math import atanh, exp, inf, isfinite, sqrt, tanh
from statistics import NormalDist

from raybench.metrics.metric import Ends
from raybench.metrics.state import Sums

__all__ = ["interval_of", "mean_interval", "student", "wilson"]

_Z = NormalDist().inv_cdf(0.975)
_MANY = 1e6  # degrees of freedom


def wilson(successes: float, trials: float, quantile: float = _Z) -> Ends:
    """Wilson's score interval (1927) of a proportion; trials need not be whole."""
    if trials == 0:
        return None
    proportion, square = successes / trials, quantile * quantile
    centre = proportion + square / (2 * trials)
    spread = quantile * sqrt(proportion * (1 - proportion) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    low = 0.0 if successes == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if successes == trials else min(1.0, (centre + spread) / scale)
    return low, high


def student(df: float) -> float:
    """Student's 97.5 % quantile."""
    if df >= _MANY:
        return _Z
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.975))


def interval_of(
    value: float,
    *,
    variance: float,
    df: float,
    bounds: tuple[float, float],
    trials: float,
    whole: float | None = None,
) -> Ends:
    """The interval of an estimate of that variance, which has `df` degrees of freedom, inside `bounds`.

    `trials` is what a value at an end of its range rests upon; in a range with one end, `whole` is what wholly wrong
    records would score, and so how far one of so many trials can move it.
    """
    if not (isfinite(value) and isfinite(variance)) or df < 1:
        return None
    low, high = bounds
    quantile = student(df)
    step = quantile * sqrt(variance)
    if (low, high) == (-1.0, 1.0) and abs(value) < 1 and variance > 0:
        step /= 1 - value**2
        return tanh(atanh(value) - step), tanh(atanh(value) + step)
    if isfinite(low) and isfinite(high):
        width = high - low
        share = min(max((value - low) / width, 0.0), 1.0)
        effective = share * (1 - share) * width**2 / variance if variance > 0 and 0 < share < 1 else trials
        ends = wilson(share * effective, effective, quantile)
        return None if ends is None else (low + width * ends[0], low + width * ends[1])
    if low == -inf and high == inf:
        return (value - step, value + step) if step > 0 else None
    end, sign = (low, 1) if isfinite(low) else (high, -1)
    distance = abs(value - end)
    if distance > 0 and step > 0:
        factor = exp(min(step / distance, 700.0))
        near, far = distance / factor, distance * factor
    else:
        beyond = wilson(0, trials, quantile)
        if distance > 0 or whole is None or beyond is None:
            return None
        near, far = 0.0, abs(whole - end) * beyond[1]
    ends = end + sign * near, end + sign * far
    return min(ends), max(ends)


def mean_interval(sums: Sums, bounds: tuple[float, float]) -> Ends:
    """The interval of the mean of x from n, Σx and Σx² (exact; the variance is rounded once), by Student's t."""
    n, total, squares = (sums[name][0] for name in ("n", "x", "xx"))
    if n < 2:
        return None
    try:
        variance = float((squares - total * total / n) / (n - 1) / n)
    except OverflowError:  # of numbers beyond 1e154 the mean is known and the variance is not
        return None
    return interval_of(float(total / n), variance=max(variance, 0.0), df=int(n) - 1, bounds=bounds, trials=int(n))
