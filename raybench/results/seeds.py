"""Several seeds of one configuration as one value with one interval.

The value is the mean. Seeds share the test examples, so the error of sampling them does not shrink with the number
of seeds, while the spread between seeds does: half-width² = (mean half-width)² + (t · s / √k)², s the sample
standard deviation over k seeds and t Student's 97.5 % point (the usual sum of two independent variances).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from raybench.core import Score

__all__ = ["combine_seeds"]


def combine_seeds(scores: Sequence[Score], bounds: tuple[float, float]) -> Score:
    """One score for all seeds, its interval clipped to the metric's range; undefined if any seed is."""
    first = next((score for score in scores if score.value is None), scores[0])
    if len(scores) == 1 or first.value is None:
        return first
    values = [score.value for score in scores if score.value is not None]
    value = math.fsum(values) / len(values)
    n = min(score.n for score in scores)
    halves = [
        (score.value - score.low, score.high - score.value)
        for score in scores
        if score.value is not None and score.low is not None and score.high is not None
    ]
    if len(halves) < len(scores) or not math.isfinite(value):
        return Score(value=value, n=n, reason="an interval is missing for one of the seeds")
    variance = math.fsum((other - value) ** 2 for other in values) / (len(values) - 1)
    between = _student(len(values) - 1) * math.sqrt(variance / len(values))
    below, above = (math.fsum(half[side] for half in halves) / len(halves) for side in (0, 1))
    return Score(
        value=value,
        low=max(bounds[0], value - math.hypot(below, between)),
        high=min(bounds[1], value + math.hypot(above, between)),
        n=n,
    )


def _student(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))
