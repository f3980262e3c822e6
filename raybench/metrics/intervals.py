"""95 % intervals from a value and its variance, on a scale where the range has no ends, and from exact sums.

    wilson(98, 100)                                              # (0.930, 0.994), inside [0, 1] also at 0 and at all
    interval_of(0.93, variance=1e-4, df=40, bounds=(0, 1), trials=200)

A value in a bounded range is read as a proportion of as many trials as give it its variance (the effective sample size
of Korn and Graubard 1998), so Wilson's interval serves every mean and ratio and keeps its width at the ends, where no
variance shows and the trials are counted instead. Correlations go by atanh, what has one end by the logarithm, what has
none (a kernel distance, whose spread grows with it) by asinh, which is the logarithm far from 0 and straight near it.
Of a mean in such a range (a loss) the skewness is taken out of Student's t (Hall 1992, J. R. Statist. Soc. B 54, 221):
the rows that would show its long tail are often not among those at hand. Measured on losses of tails of all lengths,
that held the truth more often than t, the logarithm, or Hall's t on the logarithm's scale; README.md has the figures.
No interval here has width 0: where nothing says how wide it is, there is none.
"""

from __future__ import annotations

from math import asinh, atanh, cbrt, exp, hypot, inf, isfinite, sinh, sqrt, tanh
from statistics import NormalDist

from raybench.metrics.influence import Spread, spread_of_moments
from raybench.metrics.metric import Ends
from raybench.metrics.state import Sums

__all__ = ["hall", "interval_of", "mean_spread", "student", "wilson"]

_Z = NormalDist().inv_cdf(0.975)
_MANY = 1e6  # degrees of freedom
_CANCELLED = 1e-12  # what is left of a sum of fourth powers, rounded each, that still is a moment


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
    skewness: float | None = None,
) -> Ends:
    """The interval of an estimate of that variance, which has `df` degrees of freedom, inside `bounds`.

    `trials` is what a value at an end of its range rests upon; in a range with one end, `whole` is what wholly wrong
    records would score, and so how far one of so many trials can move it. `skewness` is that of a mean, as in `Spread`.
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
        if step <= 0:
            return None
        scale = step / 2
        place, move = asinh(value / scale), step / hypot(value, scale)
        return scale * sinh(place - move), scale * sinh(place + move)
    end, sign = (low, 1) if isfinite(low) else (high, -1)
    distance = abs(value - end)
    if distance > 0 and step > 0:
        factor = exp(min(step / distance, 700.0))
        near, far = distance / factor, distance * factor
        if skewness is not None:  # the end that is near that of the range stays inside it
            error = sqrt(variance)
            near = max(near, distance - hall(quantile, sign * skewness) * error)
            far = distance - hall(-quantile, sign * skewness) * error
    else:
        beyond = wilson(0, trials, quantile)
        if distance > 0 or whole is None or beyond is None:
            return None
        near, far = 0.0, abs(whole - end) * beyond[1]
    ends = end + sign * near, end + sign * far
    return min(ends), max(ends)


def hall(quantile: float, skewness: float) -> float:
    """What Student's t of a mean of such skewness is, where without it is `quantile` (Hall 1992, g₁ inverted).

    W = t + γ t² / 3 + γ² t³ / 27 + γ / 6 has no skewness to first order and grows with t; γ is that of the mean.
    """
    a, w = skewness / 3, quantile - skewness / 6
    return w if abs(a) < 1e-9 else (cbrt(1 + 3 * a * w) - 1) / a


def mean_spread(sums: Sums) -> Spread | None:
    """The spread of the mean of x from n and Σx to Σx⁴ (exact); None where no variance is known.

    The powers are rounded each, so of numbers that lie close together far from 0, of huge and of tiny ones the third
    and the fourth moment are not known, nor in states of before, which hold Σx and Σx² alone.
    """
    n, total, squares = (sums[name][0] for name in ("n", "x", "xx"))
    num_units = int(n)
    if num_units < 2 or isinstance(squares, float):
        return None
    known = "moments" in sums.fields and sums["moments"][0] == n
    higher = [sums[name][0] for name in ("xxx", "xxxx")] if known else []
    known = known and not any(isinstance(power, float) for power in higher)  # not finite
    powers = [total, squares, *(higher if known else (0, 0))]
    # in units of one power of two they are whole numbers; fractions would be reduced at every step
    unit = max(power.denominator for power in powers)
    total, squares, cubes, fourths = (power.numerator * (unit // power.denominator) for power in powers)
    square = total * total
    try:
        second = max(0.0, (n * unit * squares - square) / (unit**2 * n**3))
    except OverflowError:  # of numbers beyond 1e154 the mean is known and the variance is not
        return None
    plain = Spread(second * num_units / (num_units - 1), num_units - 1, num_units)
    if not known or second == 0:
        return plain
    n_unit = n * unit
    third = n_unit * (n_unit * cubes - 3 * total * squares) + 2 * total * square
    fourth = n_unit * (n_unit * (n_unit * fourths - 4 * total * cubes) + 6 * square * squares) - 3 * square * square
    least, per = (_CANCELLED * (fourths / unit)).as_integer_ratio()
    if fourth * per <= least * unit * n_unit**3:
        return plain
    return spread_of_moments(second, third / (n_unit**3 * n**2), fourth / (n_unit**4 * n**3), num_units)
