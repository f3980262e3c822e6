"""Poisson bootstrap with weights keyed by (seed, example id): the same draws under any order and any sharding.

    units = Units.of(records, seed=0)
    replicates = units.replicate(contributions)       # Sums with 1,000 replicates

Each replicate draws a Poisson(1) count a unit. More than 16,384 units are put into as many bags by their hash and the
bags are drawn, which leaves the variance of a ratio of sums as it is and bounds the cost. Contributions are rounded
to a grid on which their weighted sums are exact in float64, so the order in which a BLAS adds cannot show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import factorial
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.metrics.coverage import id_hashes, mix, once_for_ids
from raybench.metrics.metric import Contribution, OneHot
from raybench.metrics.state import Field, Sums

__all__ = ["REPLICATES", "Units", "on_grid", "poisson_weights", "units_of", "weighted"]

REPLICATES = 1000
MAX_UNITS = 1 << 14
_MAX_TABLE = 1 << 24  # counts a unit and place, held at once
_NARROW = 64  # sums of a contribution
_MAX_KEPT = 1 << 21  # weights that are kept, 16 MiB as float64 and 8 as float32
_MOST_DRAWN = 12  # times that a unit can be drawn in a replicate
_SINGLE = 1 << 24  # float32 holds all integers below


def _poisson_table() -> np.ndarray:
    """The Poisson(1) count of each 16-bit uniform number."""
    cumulative = np.cumsum([np.exp(-1.0) / factorial(k) for k in range(12)])
    return np.searchsorted(cumulative, (np.arange(1 << 16) + 0.5) / (1 << 16)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Units:
    """What is drawn: examples, clusters, or bags of many. `unit_N[n]` is the unit of row n, `keys_U` their hashes."""

    keys_U: np.ndarray
    unit_N: np.ndarray
    seed: int

    @classmethod
    def of(cls, records: pa.Table, *, seed: int, group: str | None = None) -> Units:
        keys_U, unit_N = units_of(records.column(group or "id"))
        if keys_U.size > MAX_UNITS:
            bag_of_key = mix(keys_U ^ np.uint64(seed % (1 << 64))) % np.uint64(MAX_UNITS)
            bags_U, place = np.unique(bag_of_key, return_inverse=True)
            keys_U, unit_N = bags_U.astype(np.uint64), place[unit_N]
        return cls(keys_U, unit_N, seed)

    def weights(self, kind: str = "f8") -> np.ndarray:
        """How often each unit is drawn in each of 1,000 replicates, [R, U]."""
        return poisson_weights(self.keys_U, seed=self.seed, replicates=REPLICATES, kind=kind)

    def replicate(self, contributions: Mapping[str, Contribution]) -> Sums:
        """The weighted sums of each contribution in every replicate."""
        made = {name: self.table(contribution) for name, contribution in contributions.items()}
        narrow = [name for name, (_, table_UK, _) in made.items() if table_UK.shape[1] <= _NARROW]
        counts = [name for name in narrow if self._is_exact_in_single(contributions[name], made[name][1])]
        drawn: dict[str, np.ndarray] = {}
        for kind, together in (("f4", counts), ("f8", [name for name in narrow if name not in counts])):
            if together:  # reading the weights is most of their work
                tables = [made[name][1] for name in together]
                sums_RK = self.weights(kind) @ np.concatenate(tables, axis=1, dtype=kind)
                ends = np.cumsum([table_UK.shape[1] for table_UK in tables])[:-1]
                parts = np.split(sums_RK.T.astype(np.float64, order="C"), ends)
                drawn |= {name: part_KR.T for name, part_KR in zip(together, parts, strict=True)}
        drawn |= {name: weighted(self.weights(), table) for name, (_, table, _) in made.items() if name not in drawn}
        return Sums({name: Field(places, drawn[name], size) for name, (places, _, size) in made.items()})

    def _is_exact_in_single(self, contribution: Contribution, table_UK: np.ndarray) -> bool:
        """Whether these are counts whose sums float32 holds, in whatever order they are added."""
        whole = contribution.weights is None if isinstance(contribution, OneHot) else contribution.dtype.kind in "biu"
        largest = max(float(table_UK.max(initial=0.0)), -float(table_UK.min(initial=0.0))) if whole else 0.0
        return whole and largest * _MOST_DRAWN * self.keys_U.size < _SINGLE

    def table(self, contribution: Contribution, places: np.ndarray | None = None) -> tuple[np.ndarray, Any, int | None]:
        """The sums of each unit: their places [K], a matrix [U, K] (sparse for many places), the size they fill."""
        num_units = self.keys_U.size
        if isinstance(contribution, OneHot):
            kept = contribution.codes >= 0
            codes, unit_N = contribution.codes[kept], self.unit_N[kept]
            weights = (
                np.ones(codes.size)
                if contribution.weights is None
                else on_grid(contribution.weights[kept][:, None])[:, 0]
            )
            places = np.unique(codes) if places is None else places
            code_N = np.searchsorted(places, codes)
            shape = (num_units, places.size)
            if num_units * places.size <= _MAX_TABLE:
                counts = np.bincount(unit_N * places.size + code_N, weights=weights, minlength=num_units * places.size)
                return places, counts.reshape(shape).astype(np.float64), contribution.size
            from scipy.sparse import coo_array

            return places, coo_array((weights, (unit_N, code_N)), shape).tocsr(), contribution.size
        size = None if contribution.ndim == 1 else contribution.shape[1]
        values_NK = contribution.reshape(len(contribution), -1).astype(np.float64)
        if contribution.dtype.kind == "f":
            values_NK = on_grid(values_NK)
        table_UK = np.zeros((num_units, values_NK.shape[1]))
        for k, column_N in enumerate(values_NK.T):
            table_UK[:, k] = np.bincount(self.unit_N, weights=column_N, minlength=num_units)
        return np.arange(values_NK.shape[1]), table_UK, size


@once_for_ids
def units_of(names: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of distinct names (ids, groups) [U], ascending, and of each row the place of its own [N]."""
    keys_U, unit_N = np.unique(id_hashes(names)[:, 0], return_inverse=True)
    keys_U.flags.writeable = unit_N.flags.writeable = False
    return keys_U, unit_N


def weighted(weights_RU: np.ndarray, table_UK: Any) -> np.ndarray:
    """`weights_RU @ table_UK` of a dense or sparse table."""
    return np.asarray(weights_RU @ table_UK) if isinstance(table_UK, np.ndarray) else (table_UK.T @ weights_RU.T).T


def poisson_weights(keys_U: np.ndarray, *, seed: int, replicates: int, kind: str = "f8") -> np.ndarray:
    """Poisson(1) counts [R, U] as floats; column u depends on (seed, keys_U[u]) alone."""
    keys = keys_U.astype(np.uint64).tobytes()
    few = keys_U.size * replicates <= _MAX_KEPT
    return _few_weights(keys, seed, replicates, kind) if few else _counts(keys, seed, replicates).astype(kind)


@lru_cache(maxsize=2)  # one of each kind
def _few_weights(keys: bytes, seed: int, replicates: int, kind: str) -> np.ndarray:
    weights_RU = _counts(keys, seed, replicates).astype(kind)
    weights_RU.flags.writeable = False
    return weights_RU


@lru_cache(maxsize=1)  # all trials of a dataset have the same draws; a byte each, 16 MiB at most
def _counts(keys: bytes, seed: int, replicates: int) -> np.ndarray:
    keys_U, table = np.frombuffer(keys, dtype=np.uint64), _poisson_table()
    start_U = mix(keys_U ^ mix(np.array([seed % (1 << 64)], dtype=np.uint64)))
    counts_RU = np.empty((-(-replicates // 4) * 4, keys_U.size), dtype=np.uint8)
    for block in range(0, replicates, 4):  # one 64-bit number is four 16-bit ones
        bits_U = mix(start_U + np.uint64(block))
        for quarter in range(4):
            counts_RU[block + quarter] = table[(bits_U >> np.uint64(16 * quarter)) & np.uint64(0xFFFF)]
    return counts_RU[:replicates]


def on_grid(values_NK: np.ndarray) -> np.ndarray:
    """Values rounded to 2⁻³⁰ of the largest of their column; NaN and infinities stay."""
    largest_K = np.max(np.abs(values_NK), axis=0, initial=0.0, where=np.isfinite(values_NK))
    step_K = np.exp2(np.ceil(np.log2(np.where(largest_K > 0, largest_K, 1.0))) - 30)
    exact = values_NK == np.rint(values_NK)  # counts stay what they are
    return np.where(exact, values_NK, np.rint(values_NK / step_K) * step_K)
