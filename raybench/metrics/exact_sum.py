"""Sums of floats without rounding: a float64 is an integer in units of 2⁻¹⁰⁷⁴, and integers add exactly.

    exact_sum(np.array([1e16, 1.0, -1e16]))              # 1 << 1074
    as_fraction(exact_sum(np.array([0.1] * 10)))         # the true sum of ten doubles; float() of it rounds once

Mantissas are binned by exponent with `np.bincount`, split into 26 and 27 bits so that every bin stays exact
in float64 (about 8 ns an element). Any order, split or tree of merges gives the same integer.
Not-a-number and infinities are no numbers to add: `split_nonfinite` takes them out and counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

__all__ = [
    "UNIT_BITS",
    "as_fraction",
    "exact_column_sums",
    "exact_sum",
    "exact_sums_by",
    "split_nonfinite",
    "two_product",
]

UNIT_BITS = 1074  # the smallest subnormal is 2**-1074

_FEW = 1 << 13  # entries summed one by one
_CHUNK = 1 << 16  # elements a pass: the scratch stays in the cache
_LOW_BITS = 27
_EXPONENTS = 2048
_SPLITTER = float((1 << 27) + 1)


def exact_sum(values: np.ndarray) -> int:
    """The sum of finite float64 `values` [N], in units of 2⁻¹⁰⁷⁴."""
    return exact_column_sums(values.reshape(-1, 1))[0]


def exact_column_sums(values_NK: np.ndarray) -> list[int]:
    """The sum of each column of finite float64 `values_NK`, in units of 2⁻¹⁰⁷⁴."""
    num_columns = values_NK.shape[1]
    if values_NK.size <= _FEW:
        return _few_column_sums(values_NK)
    flat = np.ascontiguousarray(values_NK, dtype=np.float64).reshape(-1)
    step = num_columns * max(1, max(_CHUNK, _EXPONENTS * num_columns // 4) // max(1, num_columns))
    columns = np.tile(np.arange(num_columns, dtype=np.int64), min(step, flat.size) // max(1, num_columns))
    return _binned_sums(flat, step, lambda start, size: columns[:size], num_columns)


def exact_sums_by(values: np.ndarray, places: np.ndarray, num_places: int) -> list[int]:
    """The sums of the finite float64 `values` [N] of each place (`places` [N] in [0, num_places)), in 2⁻¹⁰⁷⁴."""
    return _binned_sums(
        np.ascontiguousarray(values, dtype=np.float64),
        _CHUNK,
        lambda start, size: places[start : start + size],
        num_places,
    )


def _binned_sums(
    flat: np.ndarray, step: int, places_of: Callable[[int, int], np.ndarray], num_places: int
) -> list[int]:
    """The sum of each place, by exponent; `places_of(start, size)` are those of a chunk."""
    bins = _EXPONENTS * num_places
    high = np.zeros(bins, dtype=np.int64)
    low = np.zeros(bins, dtype=np.int64)
    for start in range(0, flat.size, step):
        chunk = flat[start : start + step]
        bits = chunk.view(np.int64)
        exponent = (bits >> 52) & 0x7FF
        mantissa = (bits & 0xFFFFFFFFFFFFF) | ((exponent != 0).astype(np.int64) << 52)
        np.negative(mantissa, out=mantissa, where=bits < 0)
        exponent += places_of(start, chunk.size) * _EXPONENTS
        # the arithmetic shift floors, so the low half is never negative: mantissa = high · 2**27 + low
        high += np.bincount(exponent, weights=mantissa >> _LOW_BITS, minlength=bins).astype(np.int64)
        low += np.bincount(exponent, weights=mantissa & ((1 << _LOW_BITS) - 1), minlength=bins).astype(np.int64)
    totals = [0] * num_places
    for place in np.flatnonzero(high | low):
        column, exponent_bits = divmod(int(place), _EXPONENTS)
        totals[column] += ((int(high[place]) << _LOW_BITS) + int(low[place])) << max(exponent_bits - 1, 0)
    return totals


def _few_column_sums(values_NK: np.ndarray) -> list[int]:
    """The same, number by number: cheaper than bins for a shard of a few hundred records."""
    totals = [0] * values_NK.shape[1]
    rows, columns = np.nonzero(values_NK)
    mantissas, exponents = np.frexp(values_NK[rows, columns])
    units = (mantissas * (1 << 53)).astype(np.int64).tolist()  # exact: a float64 has 53 bits
    for column, mantissa, exponent in zip(columns.tolist(), units, exponents.tolist(), strict=True):
        shift = exponent - 53 + UNIT_BITS
        totals[column] += mantissa << shift if shift >= 0 else mantissa >> -shift  # a subnormal ends in zeros
    return totals


def as_fraction(units: int) -> Fraction:
    """The exact number that `units` of 2⁻¹⁰⁷⁴ stand for."""
    if units == 0:
        return Fraction(0)
    shift = min((units & -units).bit_length() - 1, UNIT_BITS)  # reduced by hand: no gcd of long integers
    return _reduced(units >> shift, UNIT_BITS - shift)


def _reduced(numerator: int, denominator_bits: int) -> Fraction:
    return Fraction(numerator) if denominator_bits == 0 else Fraction(numerator, 1 << denominator_bits)


def split_nonfinite(values: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """`values` [N, K] with 0 in place of what is not finite, and where it was ("nan", "inf", "-inf"), if anywhere."""
    finite = np.isfinite(values)
    if finite.all():
        return values, {}
    kinds = {"nan": np.isnan(values), "inf": np.isposinf(values), "-inf": np.isneginf(values)}
    return np.where(finite, values, 0.0), {kind: where for kind, where in kinds.items() if where.any()}


def two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`a * b` as an unevaluated sum (product, error), exact while nothing overflows (Dekker 1971, Veltkamp's split)."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, np.where(np.isfinite(product), error, 0.0)


def _split(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = a * _SPLITTER
        high = scaled - (scaled - a)
    return high, a - high
