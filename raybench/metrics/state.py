"""What a shard leaves behind for a metric: named sparse vectors of exact integers, merged by adding.

    merged = state.merge(other)          # a new state; the inputs stay as they were
    assert merged == other.merge(state)  # any order, any tree, any split: the same integers

Counts are integers as they are; sums of floats are integers in units of 2⁻¹⁰⁷⁴ (exact_sum.py). So there is one
monoid for every additive metric, and its laws need proving once. The identity is a state without fields.
`Sums` is the same data ready for a formula: exact (Python int, Fraction) with one replicate, or float64 with many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from raybench.core.errors import MergeError
from raybench.metrics import integers
from raybench.metrics.exact_sum import as_fraction

__all__ = ["Cells", "Field", "State", "Sums"]

_LARGE = 10_000  # places worth comparing before they are sorted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """A sparse vector of exact integers: `values[i]` at place `keys[i]` of `size` places; zeros are left out."""

    keys: np.ndarray  # int64, ascending, unique
    values: np.ndarray  # int64, or Python int where one does not fit
    size: int | None  # None: a scalar at place 0
    is_float: bool = False  # values are in units of 2**-1074

    @classmethod
    def from_dense(cls, values: Any, *, size: int | None, is_float: bool = False) -> Cells:
        dense = integers.as_exact(values)
        keys = np.flatnonzero(dense)
        return cls.of(keys, dense[keys], size=size, is_float=is_float)

    @classmethod
    def of(cls, keys: np.ndarray, values: np.ndarray, *, size: int | None, is_float: bool = False) -> Cells:
        keys, values = keys.astype(np.int64), integers.as_exact(values)
        keys.flags.writeable = values.flags.writeable = False
        return cls(keys=keys, values=values, size=size, is_float=is_float)

    def merge(self, *others: Cells) -> Cells:
        """The sum of all, place by place; linear in the number of vectors."""
        for other in others:
            if (self.size, self.is_float) != (other.size, other.is_float):
                raise MergeError(f"a vector of {self.size} places cannot be merged with one of {other.size}")
        all_cells = [cells for cells in (self, *others) if cells.keys.size]
        if len(all_cells) <= 1:
            return all_cells[0] if all_cells else self
        first = all_cells[0].keys
        if first.size > _LARGE and all(np.array_equal(first, cells.keys) for cells in all_cells[1:]):
            keys, values = first, reduce(integers.add, (cells.values for cells in all_cells))
        else:
            joined = np.concatenate([cells.keys for cells in all_cells])
            keys, values = integers.sum_by_key(joined, [cells.values for cells in all_cells])
        kept = values != 0
        return Cells.of(keys[kept], values[kept], size=self.size, is_float=self.is_float)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Cells)
            and (self.size, self.is_float) == (other.size, other.is_float)
            and np.array_equal(self.keys, other.keys)
            and integers.equal(self.values, other.values)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """The exact sums of one measure over some records; `config` names the options that shaped them."""

    measure: str
    config: str
    fields: Mapping[str, Cells] = field(default_factory=dict)

    def merge(self, *others: State) -> State:
        """The sums over all the records together."""
        found: dict[str, list[Cells]] = {}
        for state in (self, *others):
            if (self.measure, self.config) != (state.measure, state.config):
                raise MergeError(
                    f"a state of {self.measure!r} with options {self.config} cannot be merged with one of "
                    f"{state.measure!r} with options {state.config}: they were measured differently"
                )
            for name, cells in state.fields.items():
                found.setdefault(name, []).append(cells)
        fields = {name: first.merge(*rest) for name, (first, *rest) in found.items()}
        return State(measure=self.measure, config=self.config, fields=fields)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, State)
            and (self.measure, self.config) == (other.measure, other.config)
            and dict(self._filled()) == dict(other._filled())
        )

    def _filled(self) -> Iterator[tuple[str, Cells]]:
        return ((name, cells) for name, cells in self.fields.items() if cells.keys.size)

    @property
    def n(self) -> int:
        """The number of examples that count."""
        cells = self.fields.get("examples", self.fields.get("n"))  # of weighted records `n` is the sum of weights
        return int(cells.values[0]) if cells is not None and cells.keys.size else 0

    def sums(self) -> Sums:
        """The sums as exact numbers (Python int or Fraction; NaN or ±inf where such a value was added)."""
        return Sums({name: _exact_field(name, self.fields) for name in self.fields if "." not in name})


@dataclass(frozen=True, slots=True)
class Field:
    """`values_RK[r, i]`: the sum at place `keys[i]` in replicate r."""

    keys: np.ndarray
    values_RK: np.ndarray
    size: int | None


@dataclass(frozen=True, slots=True)
class Sums:
    """What a formula reads: `sums["n"]` is [R], `sums["matches"]` is [R, K]; dtype object (exact) or float64."""

    fields: Mapping[str, Field]
    made: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)  # what formulas share of them

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self.fields[name]
        num_replicates = entry.values_RK.shape[0]
        if entry.size is not None and entry.keys.size == entry.size:
            return entry.values_RK
        dense = np.zeros((num_replicates, 1 if entry.size is None else entry.size), dtype=entry.values_RK.dtype)
        dense[:, entry.keys] = entry.values_RK
        return dense[:, 0] if entry.size is None else dense


def _exact_field(name: str, fields: Mapping[str, Cells]) -> Field:
    cells = fields[name]
    keys, numbers = cells.keys, cells.values.astype(object)
    if cells.is_float:
        numbers = np.array([as_fraction(int(units)) for units in numbers] + [None], dtype=object)[:-1]
        odd = {kind: fields[f"{name}.{kind}"] for kind in ("nan", "inf", "-inf") if f"{name}.{kind}" in fields}
        if odd:
            values: dict[int, Any] = dict(zip(keys.tolist(), numbers, strict=True))
            for kind, places in odd.items():
                for key in places.keys.tolist():
                    before = values.get(key)  # a finite sum, which may be beyond float64, changes nothing
                    values[key] = (before if isinstance(before, float) else 0.0) + float(kind)  # inf - inf is NaN
            keys = np.array(sorted(values), dtype=np.int64)
            numbers = np.array([values[int(key)] for key in keys] + [None], dtype=object)[:-1]
    return Field(keys=keys, values_RK=numbers[None, :], size=cells.size)
