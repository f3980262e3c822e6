"""Poisson bootstrap with weights keyed by (seed, example id): the same draws under any order and any sharding.

    units = Units.of(records, seed=0)                 # one unit an example, a cluster, or a bag of many examples
    replicates = units.replicate(contributions)       # Sums with 1,000 replicates

Each replicate draws a Poisson(1) count a unit. More than 16,384 units are put into as many bags by their hash and the
bags are drawn, which leaves the variance of a ratio of sums as it is and bounds the cost. Contributions are rounded
to a grid on which their weighted sums are exact in float64, so the order in which a BLAS adds cannot show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import factorial
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from raybench.metrics.coverage import id_hashes, mix
from raybench.metrics.metric import Contribution, OneHot
from raybench.metrics.state import Field, Sums

__all__ = ["REPLICATES", "Units", "corrected_percentiles"]

REPLICATES = 1000
MAX_UNITS = 1 << 14
_MAX_TABLE = 1 << 24  # counts a unit and place, held at once

_NORMAL = NormalDist()
_Z = _NORMAL.inv_cdf(0.975)


def _poisson_table() -> np.ndarray:
    """The Poisson(1) count of each 16-bit uniform number."""
    cumulative = np.cumsum([np.exp(-1.0) / factorial(k) for k in range(12)])
    return np.searchsorted(cumulative, (np.arange(1 << 16) + 0.5) / (1 << 16)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Units:
    """What is drawn: `unit_N[n]` is the unit of row n, `weights_RU` how often each unit is drawn in each replicate."""

    unit_N: np.ndarray
    weights_RU: np.ndarray

    @classmethod
    def of(cls, records: pa.Table, *, seed: int, group: str | None = None, replicates: int = REPLICATES) -> Units:
        hashes = id_hashes(records.column(group or "id"))[:, 0]
        keys, unit_N = np.unique(hashes, return_inverse=True)
        if keys.size > MAX_UNITS:
            bag_U = mix(keys ^ np.uint64(seed % (1 << 64))) % np.uint64(MAX_UNITS)
            bags, bag_of_key = np.unique(bag_U, return_inverse=True)
            keys, unit_N = bags.astype(np.uint64), bag_of_key[unit_N]
        return cls(unit_N, poisson_weights(keys, seed=seed, replicates=replicates))

    def replicate(self, contributions: Mapping[str, Contribution]) -> Sums:
        """The weighted sums of each contribution, float64 [R, K]."""
        return Sums({name: self._weighted(contribution) for name, contribution in contributions.items()})

    def _weighted(self, contribution: Contribution) -> Field:
        num_units = self.weights_RU.shape[1]
        if isinstance(contribution, OneHot):
            places, code_N = np.unique(contribution.codes, return_inverse=True)
            if num_units * places.size <= _MAX_TABLE:
                table = np.bincount(self.unit_N * places.size + code_N, minlength=num_units * places.size)
                sums_RK = self.weights_RU @ table.reshape(num_units, places.size).astype(np.float64)
            else:
                draws = (weights_U[self.unit_N] for weights_U in self.weights_RU)
                sums_RK = np.stack([np.bincount(code_N, weights=draw_N, minlength=places.size) for draw_N in draws])
            return Field(places[places >= 0], sums_RK[:, places >= 0], contribution.size)
        size = None if contribution.ndim == 1 else contribution.shape[1]
        values_NK = on_grid(contribution.reshape(len(contribution), -1).astype(np.float64))
        per_unit_UK = np.zeros((num_units, values_NK.shape[1]))
        for k, column_N in enumerate(values_NK.T):
            per_unit_UK[:, k] = np.bincount(self.unit_N, weights=column_N, minlength=num_units)
        return Field(np.arange(values_NK.shape[1]), self.weights_RU @ per_unit_UK, size)


def poisson_weights(keys_U: np.ndarray, *, seed: int, replicates: int) -> np.ndarray:
    """Poisson(1) counts [R, U] as float64; column u depends on (seed, keys_U[u]) alone."""
    table = _poisson_table()
    start_U = mix(keys_U ^ mix(np.array([seed % (1 << 64)], dtype=np.uint64)))
    weights_RU = np.empty((-(-replicates // 4) * 4, keys_U.size))
    for block in range(0, replicates, 4):  # one 64-bit number is four 16-bit ones
        bits_U = mix(start_U + np.uint64(block))
        for quarter in range(4):
            weights_RU[block + quarter] = table[(bits_U >> np.uint64(16 * quarter)) & np.uint64(0xFFFF)]
    return weights_RU[:replicates]


def on_grid(values_NK: np.ndarray) -> np.ndarray:
    """Values rounded to 2⁻³⁰ of the largest of their column; NaN and infinities stay."""
    largest_K = np.max(np.abs(values_NK), axis=0, initial=0.0, where=np.isfinite(values_NK))
    step_K = np.exp2(np.ceil(np.log2(np.where(largest_K > 0, largest_K, 1.0))) - 30)
    exact = values_NK == np.rint(values_NK)  # counts stay what they are
    return np.where(exact, values_NK, np.rint(values_NK / step_K) * step_K)


def corrected_percentiles(value: float, replicates_R: np.ndarray) -> tuple[float, float] | None:
    """The bias-corrected percentile interval (Efron 1987) around `value`; None if too few replicates are defined."""
    defined = np.sort(replicates_R[~np.isnan(replicates_R)])
    if defined.size < 0.9 * replicates_R.size or not np.isfinite(value):
        return None
    below = (np.searchsorted(defined, value, "left") + np.searchsorted(defined, value, "right")) / (2 * defined.size)
    shift = _NORMAL.inv_cdf(min(max(below, 1 / (defined.size + 1)), defined.size / (defined.size + 1)))
    low, high = (np.quantile(defined, _NORMAL.cdf(2 * shift + z)) for z in (-_Z, _Z))
    return float(low), float(high)
