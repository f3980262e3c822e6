"""Which examples a state has seen: their number and an order-free fingerprint of their ids.

    merged = a.merge(b)                     # refuses a row of one that is a row of the other
    merged.check(expected)                  # CoverageError: 7 of 600 examples are missing

The fingerprint is the sum modulo 2¹²⁸ of a 128-bit hash an id: any order and any split of the ids gives the same.
`id_hashes` is also the source of randomness keyed by example (bootstrap.py). It is no cryptographic hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias, TypeVar

import numpy as np
import pyarrow as pa

from raybench.core.errors import CoverageError, MergeError, MetricError

__all__ = ["Coverage", "id_hashes", "mix", "once_for_ids"]

Ids: TypeAlias = pa.Array | pa.ChunkedArray
T = TypeVar("T")

_LONG = 64  # a longer id is replaced by its digest first, so that one long id does not widen all
_MASK = (1 << 128) - 1
_FEW = 1 << 16  # ids of which it is remembered what was made of them
_KEPT = 8  # such columns of ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """`hashes` has 64 bits of each id, ascending, so shards that share an example are refused, whole or in part.

    States written before hashes were kept have none; of those the fingerprints in `parts` refuse equal shards.
    """

    n: int = 0
    fingerprint: int = 0
    parts: frozenset[int] = field(default=frozenset(), compare=False)
    hashes: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64), compare=False)

    @classmethod
    def of(cls, ids: Ids | Sequence[str]) -> Coverage:
        return _coverage(_column(ids))

    def merge(self, *others: Coverage) -> Coverage:
        n, fingerprint, parts = self.n, self.fingerprint, set(self.parts)
        for other in others:
            if not parts.isdisjoint(other.parts):
                raise MergeError(f"the same {other.n} examples were to be merged twice; a shard counts once")
            parts |= other.parts
            n += other.n
            fingerprint = (fingerprint + other.fingerprint) & _MASK
        hashes = self.hashes
        if any(other.hashes.size for other in others):
            hashes = np.sort(np.concatenate([self.hashes, *(other.hashes for other in others)]), kind="stable")
            twice = int((hashes[1:] == hashes[:-1]).sum())
            if twice:
                raise MergeError(
                    f"{twice} examples were to be merged twice: the shards overlap; an example counts once"
                )
        return Coverage(n=n, fingerprint=fingerprint, parts=frozenset(parts), hashes=hashes)

    def check(self, expected: Coverage) -> None:
        """Every expected example exactly once, or a CoverageError that says how many are missing or too many."""
        if self.n < expected.n:
            raise CoverageError(f"{expected.n - self.n} of {expected.n} examples are missing")
        if self.n > expected.n:
            raise CoverageError(f"{self.n - expected.n} examples too many: {self.n} were merged, {expected.n} exist")
        if self.fingerprint != expected.fingerprint:
            raise CoverageError(f"the {self.n} examples merged are not the {expected.n} of the split")


class _Ids:
    """A column of ids as a key."""

    def __init__(self, column: pa.Array) -> None:
        self.column = column

    def __hash__(self) -> int:
        return len(self.column)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ids) and self.column.equals(other.column)


def once_for_ids(make: Callable[[Ids], T]) -> Callable[[Ids], T]:
    """A function of a column of ids that finds again what it made of an equal one, as trials of a dataset have it."""

    @lru_cache(maxsize=_KEPT)
    def kept(ids: _Ids) -> T:
        found = make(ids.column)
        ids.column = ids.column.take(pa.array(np.arange(len(ids.column))))  # whatever it is a slice of may go
        return found

    def found(ids: Ids) -> T:
        if len(ids) > _FEW:
            return make(ids)
        if isinstance(ids, pa.ChunkedArray):  # of one piece it is that piece, which Arrow would copy
            ids = ids.chunk(0) if ids.num_chunks == 1 else ids.combine_chunks()
        return kept(_Ids(ids))

    return found


def id_hashes(ids: Ids | Sequence[str]) -> np.ndarray:
    """A 128-bit hash of each id as two uint64, [N, 2]; not to be written to."""
    return _hashes(_column(ids))


def _column(ids: Ids | Sequence[str]) -> Ids:
    return ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, type=pa.string())


@once_for_ids
def _coverage(ids: Ids) -> Coverage:
    hashes_N2 = _hashes(ids)
    n = len(hashes_N2)
    if n == 0:
        return Coverage()
    hashes = np.sort(hashes_N2[:, 0])
    if (hashes[1:] == hashes[:-1]).any():  # half of a hash may agree by chance, the whole does not
        order = np.lexsort(hashes_N2.T)
        repeated = np.flatnonzero((hashes_N2[order][1:] == hashes_N2[order][:-1]).all(axis=1))
        if repeated.size:
            first = ids[int(order[int(repeated[0])])]
            raise MetricError(f"example id {str(first)!r} occurs twice in one table of records; an example counts once")
    low, high = (sum(int(part) for part in _wide_sum(hashes_N2[:, lane])) for lane in (0, 1))
    fingerprint = (low + (high << 64)) & _MASK
    return Coverage(n=n, fingerprint=fingerprint, parts=frozenset([fingerprint]), hashes=hashes)


@once_for_ids
def _hashes(ids: Ids) -> np.ndarray:
    words_NW, lengths = _words(ids)
    lanes = []
    for lane in (0x243F6A8885A308D3, 0x13198A2E03707344):  # digits of pi
        state = mix(lengths ^ np.uint64(lane))
        for word in range(words_NW.shape[1]):
            inside = lengths > np.uint64(8 * word)  # padding never enters, so a neighbour's length does not matter
            mixed = mix(state ^ words_NW[:, word])
            state = mixed if inside.all() else np.where(inside, mixed, state)
        lanes.append(state)
    hashes_N2 = np.stack(lanes, axis=1)
    hashes_N2.flags.writeable = False
    return hashes_N2


def _words(ids: Ids) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of each id as little-endian words, zeros behind, [N, W], and how many bytes it has, [N]."""
    texts = ids.cast(pa.large_string())
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    assert not texts.null_count  # `keys_of` has refused them
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    lengths, starts = np.diff(starts), starts[:-1]
    read = np.frombuffer(data or b"", dtype=np.uint8)
    long = np.flatnonzero(lengths > _LONG)
    sizes = np.minimum(lengths, _LONG)
    width = max(1, -(-int(sizes.max(initial=1)) // 8))
    padded = np.concatenate([read, np.zeros(8 * width + 8, dtype=np.uint8)])
    anywhere = np.ndarray(padded.size - 7, dtype="<u8", buffer=padded, strides=(1,))  # the word that starts at a byte
    words_NW = np.empty((len(texts), width), dtype=np.uint64)
    for w in range(width):
        rest = np.clip(sizes - 8 * w, 0, 8).astype(np.uint64)
        mask = np.where(rest == 8, ~np.uint64(0), (np.uint64(1) << (np.uint64(8) * (rest % 8))) - np.uint64(1))
        words_NW[:, w] = anywhere[starts + 8 * w] & mask
    for row in long:  # a digest in its place, so that one long id does not widen all
        whole = read[starts[row] : starts[row] + lengths[row]].tobytes()
        words_NW[row] = np.frombuffer(hashlib.blake2b(whole).digest(), dtype="<u8")
    return words_NW, lengths.astype(np.uint64)


def mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's step and finaliser (Steele, Lea and Flood 2014): 64 bits in, 64 well-stirred bits out."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _wide_sum(values: np.ndarray) -> tuple[int, int]:
    """The parts of an exact sum of uint64: high halves and low halves apart."""
    return int((values >> np.uint64(32)).sum()) << 32, int((values & np.uint64(0xFFFFFFFF)).sum())
