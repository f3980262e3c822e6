"""Intervals and replicates from each record's influence on the value: the derivative with respect to its weight.

Of sums it is the formula's derivative times what the record adds to them; a metric of whole tables (AUC, mAP) gives it
in closed form, or by leaving out one of 20 groups at a time. Squared and summed by unit (a record, or a cluster that is
drawn together) it is the variance (infinitesimal jackknife; DeLong's for AUC). A few units that carry most of it leave
few degrees of freedom, however many records there are (Satterthwaite 1946, with the fourth moment seen in the units).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.metrics.coverage import id_hashes, mix
from raybench.metrics.metric import Contribution, OneHot
from raybench.metrics.state import Field, Sums

__all__ = [
    "MovedSums",
    "Spread",
    "edge_variance",
    "jackknife_groups",
    "jackknife_influence",
    "spread_of",
    "spread_of_moments",
    "unit_sums",
]

NUM_GROUPS = 20
_KIN = 2.0  # records that the other classes' mean counts for
_STEP = 1e-4  # of a standard deviation of a sum
_MAX_TABLE = 1 << 22  # numbers of moved sums held at once


class Spread(NamedTuple):
    """The variance of a value, the degrees of freedom it is known with, and the number and the skewness of its units.

    The skewness is that of their sum: Σ u³ / (Σ u²)^1.5, which falls with the root of their number. None: not known.
    """

    variance: float
    df: float
    num_units: int
    skewness: float | None = None


def spread_of(influence_U: np.ndarray) -> Spread | None:
    """The spread of the influences of the units, which sum to 0; None where it cannot be known."""
    num_units = influence_U.size
    if num_units < 2 or not np.isfinite(influence_U).all():
        return None
    squares_U = influence_U * influence_U
    cubes, fourths = float((squares_U * influence_U).sum()), float((squares_U * squares_U).sum())
    return spread_of_moments(float(squares_U.sum()), cubes, fourths, num_units)


def spread_of_moments(squares: float, cubes: float, fourths: float, num_units: int) -> Spread:
    """The spread of so many units by the sums of their powers."""
    # 2 · E² / Var of the estimated variance; of normal influences, whose fourth moment is 3 · E², that is n - 1
    df = 3 * squares * squares / fourths - 1 if fourths > 0 else num_units - 1
    skewness = cubes / squares**1.5 if squares**1.5 > 0 else 0.0
    variance = squares * num_units / (num_units - 1)
    return Spread(variance, float(min(max(df, 1.0), num_units - 1)), num_units, skewness)


def edge_variance(values_C: np.ndarray, counts_C: np.ndarray, bounds: tuple[float, float]) -> float:
    """What classes at an end of their range add to the variance of the mean over classes, though none of it shows.

    A handful of records of a rare class, all right, leaves open how good it is: its value is drawn towards the mean of
    all classes with the weight of two records (a beta prior with the mean of its kin, Carlin and Louis 2000, §3.3).
    """
    low, width = bounds[0], bounds[1] - bounds[0]
    known = ~np.isnan(values_C)
    share_C = (values_C[known] - low) / width
    counts = counts_C[known].astype(np.float64)
    at_end = ((share_C == 0) | (share_C == 1)) & (counts > 0)
    if not at_end.any():
        return 0.0
    weight_C = counts[at_end] + _KIN
    drawn_C = (counts[at_end] * share_C[at_end] + _KIN * share_C.mean()) / weight_C
    return float((drawn_C * (1 - drawn_C) / weight_C).sum()) * width**2 / share_C.size**2


class MovedSums:
    """The sums of records, each moved a little up and down: what any formula's derivatives are taken of, made once."""

    def __init__(self, contributions: Mapping[str, Contribution]) -> None:
        self._contributions = contributions
        self._fields: dict[str, Field] = {}
        self._steps: dict[str, np.ndarray] = {}
        self._made: dict[str, list[tuple[np.ndarray, np.ndarray, Sums]]] = {}
        for name, contribution in contributions.items():
            if isinstance(contribution, OneHot):
                kept = contribution.codes >= 0
                keys, places = np.unique(contribution.codes[kept], return_inverse=True)
                weights = None if contribution.weights is None else contribution.weights[kept]
                counts = np.bincount(places, weights=weights, minlength=keys.size).astype(np.float64)
                squares = counts if weights is None else np.bincount(places, weights=weights**2, minlength=keys.size)
                self._fields[name] = Field(keys, counts[None, :], contribution.size)
                self._steps[name] = _STEP * np.sqrt(squares)
                continue
            size = None if contribution.ndim == 1 else contribution.shape[1]
            values_NK = contribution.reshape(len(contribution), -1).astype(np.float64)
            self._fields[name] = Field(np.arange(values_NK.shape[1]), values_NK.sum(axis=0, keepdims=True), size)
            self._steps[name] = _STEP * np.sqrt((values_NK * values_NK).sum(axis=0))

    def influence(self, formula: Callable[[Sums], np.ndarray]) -> np.ndarray:
        """The influence of each record on a formula of sums, [N], or [N, C] of one with several values.

        The derivative with respect to each sum is a central difference over 10⁻⁴ of the sum's own standard deviation.
        """
        influence: np.ndarray | None = None
        for name, contribution in self._contributions.items():
            part = _times(contribution, self._fields[name].keys, self._slope(name, formula))  # slopes [K] or [K, C]
            influence = part if influence is None else influence + part
        assert influence is not None
        return influence

    def _slope(self, name: str, formula: Callable[[Sums], np.ndarray]) -> np.ndarray:
        """The derivative of the formula with respect to each place of a field."""
        slope: np.ndarray | None = None
        for places, steps, sums in self._moved(name):
            up, down = np.split(formula(sums), 2)
            if slope is None:
                slope = np.zeros((self._steps[name].size, *up.shape[1:]))
            slope[places] = (up - down) / (2 * steps if up.ndim == 1 else 2 * steps[:, None])
        return np.zeros((self._steps[name].size, *formula(Sums(self._fields)).shape[1:])) if slope is None else slope

    def _moved(self, name: str) -> Iterable[tuple[np.ndarray, np.ndarray, Sums]]:
        """Places of a field, their steps, and the sums with each moved up, then with each moved down; kept if few."""
        if name in self._made:
            return self._made[name]
        moved = np.flatnonzero(self._steps[name] > 0)
        width = sum(field.keys.size for field in self._fields.values())
        chunk = max(1, _MAX_TABLE // max(1, 2 * width))
        parts = (self._part(name, moved[start : start + chunk]) for start in range(0, moved.size, chunk))
        if moved.size > chunk:
            return parts
        self._made[name] = list(parts)
        return self._made[name]

    def _part(self, name: str, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, Sums]:
        rows, steps = np.arange(places.size), self._steps[name][places]
        fields = self._fields.items()
        sums = {k: Field(f.keys, np.repeat(f.values_RK, 2 * places.size, axis=0), f.size) for k, f in fields}
        sums[name].values_RK[rows, places] += steps
        sums[name].values_RK[places.size + rows, places] -= steps
        return places, steps, Sums(sums)


def _times(contribution: Contribution, keys: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """What each record adds, times the slopes; column by column, so that no library's order of adding shows."""
    if isinstance(contribution, OneHot):
        if not keys.size:
            return np.zeros((contribution.codes.size, *slope.shape[1:]))
        kept = contribution.codes >= 0
        part = slope[np.minimum(np.searchsorted(keys, np.maximum(contribution.codes, 0)), keys.size - 1)]
        if contribution.weights is not None:
            part = part * (contribution.weights if part.ndim == 1 else contribution.weights[:, None])
        return np.where(kept if part.ndim == 1 else kept[:, None], part, 0.0)
    values_NK = contribution.reshape(len(contribution), -1)
    total = np.zeros((len(values_NK), *slope.shape[1:]))
    for k in range(values_NK.shape[1]):
        if np.any(slope[k] != 0):
            total += values_NK[:, k] * slope[k] if slope.ndim == 1 else np.multiply.outer(values_NK[:, k], slope[k])
    return total


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
