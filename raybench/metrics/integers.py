"""Exact integer arrays: int64 while everything fits, Python integers beyond; addition never wraps.

`add` and `as_exact` return the one canonical form of their values, so equal numbers are equal arrays.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["add", "as_exact", "decode", "encode", "equal", "sum_by_key"]

_LIMIT = (1 << 63) - 1


def as_exact(values: np.ndarray | Iterable[int]) -> np.ndarray:
    """`values` as int64 if all of them fit, as an object array of Python int otherwise."""
    array = values if isinstance(values, np.ndarray) else np.array(list(values), dtype=object)
    if array.dtype != object:
        if array.dtype == np.uint64 and array.size and int(array.max()) > _LIMIT:
            return array.astype(object)
        return array.astype(np.int64)
    if all(-_LIMIT <= value <= _LIMIT for value in array.flat):
        return array.astype(np.int64)
    return array


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a + b`, exact and canonical."""
    if a.dtype == np.int64 and b.dtype == np.int64 and _bound(a) + _bound(b) <= _LIMIT:
        return a + b
    return as_exact(a.astype(object) + b.astype(object))


def sum_by_key(keys: np.ndarray, values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys, ascending, and the exact sum of the values of each; `values` join to the length of `keys`."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    if all(part.dtype == np.int64 for part in values):
        joined = np.concatenate(values)
        if _bound(joined) * len(values) <= _LIMIT:
            return ordered[starts], np.add.reduceat(joined[order], starts)
    joined = np.concatenate([part.astype(object) for part in values])
    return ordered[starts], as_exact(np.add.reduceat(joined[order], starts))


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two canonical arrays hold the same integers."""
    return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())


def encode(value: int) -> bytes:
    """Little-endian two's complement, as short as it can be."""
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def decode(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _bound(a: np.ndarray) -> int:
    return max(abs(int(a.max())), abs(int(a.min()))) if a.size else 0
