"""The learning rate's course over a fit: a share of the rate for every step. No torch: planners ask too."""

from __future__ import annotations

import math
from functools import lru_cache

from raybench.core.identity import content_hash

__all__ = ["course_key", "rate_factor"]


def rate_factor(step: int, total: int, *, warmup: float, decay: str) -> float:
    """The share of the learning rate at `step` (0-based) of `total`: linear warm-up, then `decay`."""
    warm = math.ceil(warmup * total)
    if step < warm:
        return (step + 1) / warm
    if decay == "constant":
        return 1.0
    left = (total - step) / max(1, total - warm)
    return left if decay == "linear" else 0.5 * (1 - math.cos(math.pi * left))


@lru_cache(maxsize=4096)  # a grid of thousands of trials has few courses, and a large dataset many steps
def course_key(first: int, count: int, total: int, *, warmup: float, decay: str) -> str:
    """The hash of the factors of `count` steps from `first` on: equal factors, equal key, whatever they come from."""
    return content_hash([rate_factor(step, total, warmup=warmup, decay=decay) for step in range(first, first + count)])
