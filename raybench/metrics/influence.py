"""Intervals and replicates of what cannot be summed, from each record's influence on the value.

A metric of whole tables (AUC, mAP) gives the derivative of its value with respect to each record's weight in closed
form, or by leaving out one of 20 groups at a time. Squared and summed by cluster it is the variance (infinitesimal
jackknife; DeLong's for AUC); with the bootstrap's weights it gives replicates that pair with those of another model.
"""

from __future__ import annotations

from math import atanh, exp, inf, isfinite, log, log1p, sqrt, tanh

import numpy as np
import pyarrow as pa

from raybench.metrics.coverage import id_hashes, mix
from raybench.metrics.intervals import wilson

__all__ = ["influence_interval", "jackknife_groups", "jackknife_influence", "unit_sums"]

NUM_GROUPS = 20
_T_19 = 2.093024054408263  # Student's t, 19 degrees of freedom
_Z = 1.959963984540054


def jackknife_groups(table: pa.Table, group: str | None) -> np.ndarray:
    """The group of each row, [N]: about 20 of near equal size, decided by the hash of its id or cluster."""
    hashes_N = mix(id_hashes(table.column(group or "id"))[:, 0])
    keys, unit_N = np.unique(hashes_N, return_inverse=True)
    return (np.arange(keys.size) % min(NUM_GROUPS, keys.size))[unit_N]


def jackknife_influence(value: float, without_G: np.ndarray, groups_N: np.ndarray) -> np.ndarray:
    """The influence of each row, [N]: that of its group, from the values without each group, shared among its rows."""
    num_groups = without_G.size
    influence_G = (value - without_G) * (num_groups - 1) / num_groups
    return (influence_G - influence_G.mean())[groups_N] / np.bincount(groups_N)[groups_N]


def unit_sums(influence_N: np.ndarray, unit_N: np.ndarray) -> np.ndarray:
    """The influence of each unit (an example, a cluster, a group)."""
    return np.bincount(unit_N, weights=influence_N)


def influence_interval(
    value: float, influence_U: np.ndarray, bounds: tuple[float, float], trials: int
) -> tuple[float, float] | None:
    """The 95 % interval on the scale where the range has no ends (logit, log or atanh), carried back.

    A value at an end of [0, 1], where no variance shows, gets Wilson's interval of as many out of `trials`.
    """
    num_units = influence_U.size
    if num_units < 2 or not np.isfinite(influence_U).all():
        return None
    error = sqrt(float((influence_U * influence_U).sum()) * num_units / (num_units - 1))
    spread = (_T_19 if num_units <= NUM_GROUPS else _Z) * error
    low, high = bounds
    if (low, high) == (0.0, 1.0):
        if value in bounds:
            return wilson(trials if value == 1.0 else 0, trials)
        centre, step = log(value) - log1p(-value), spread / (value * (1 - value))
        return tuple(1 / (1 + exp(-end)) for end in (max(centre - step, -700), min(centre + step, 700)))  # type: ignore[return-value]
    if (low, high) == (-1.0, 1.0) and abs(value) < 1:
        return tanh(atanh(value) - spread / (1 - value**2)), tanh(atanh(value) + spread / (1 - value**2))
    if (low, high) == (0.0, inf) and value > 0:
        step = min(spread / value, 700.0)
        return value * exp(-step), value * exp(step)
    ends = max(low, value - spread), min(high, value + spread)
    return ends if all(map(isfinite, ends)) else None
