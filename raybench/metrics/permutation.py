"""Paired tests of two models on the same examples: McNemar's and sign-flip permutation; families of p-values.

    mcnemar(only_a=12, only_b=3)                        # exact, two-sided
    holm([0.01, 0.04]), benjamini_hochberg([0.01, 0.04])

A permutation swaps the two models' contributions to a unit (an example or a cluster). For a mean that is Fisher's
sign-flip test; for F1 or BLEU the approximate randomisation test; what cannot be summed is swapped to first order, by
its influences. Flips depend on (seed, id) alone. Each test says, beside its p-value, the largest difference that it
would not have found significant; the interval of the difference (`studentised`) is made of that, so the two agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from raybench.core.errors import MetricError
from raybench.metrics.bootstrap import Units, on_grid, weighted
from raybench.metrics.coverage import mix
from raybench.metrics.metric import Contribution, OneHot
from raybench.metrics.state import Field, Sums

__all__ = [
    "FLIPS",
    "SwappedSums",
    "Verdict",
    "benjamini_hochberg",
    "flipped_sum",
    "holm",
    "mcnemar",
    "mid_p_mcnemar",
    "studentised",
]

FLIPS = 9_999
_CHUNK = 1 << 22  # signs held at once


ALPHA = 0.05


class Verdict(NamedTuple):
    """A two-sided p-value, and the largest difference that would have had one above 5 %."""

    p_value: float
    critical: float


def mcnemar(*, only_a: int, only_b: int) -> float:
    """The exact two-sided p-value of the discordant pairs: examples that only one of the models has right."""
    from scipy.special import bdtr

    discordant = only_a + only_b
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), discordant, 0.5))) if discordant else 1.0


def mid_p_mcnemar(*, only_a: int, only_b: int) -> Verdict:
    """McNemar's test with the mid-p-value, in numbers of examples.

    The exact test keeps its level by far too much (about 3 % where 5 % are asked); with half the probability of what
    was seen it stays near 5 % (Fagerland, Lydersen and Laake 2013, doi:10.1186/1471-2288-13-91).
    """
    from scipy.special import bdtr

    discordant = only_a + only_b
    if not discordant:
        return Verdict(1.0, 0.0)
    fewer = np.arange(discordant // 2 + 1)
    through = bdtr(fewer, discordant, 0.5)
    before = np.concatenate([[0.0], through[:-1]])
    p_values = np.minimum(1.0, through + before)  # 2 · (P(less) + P(equal) / 2)
    above = fewer[p_values > ALPHA]
    most = discordant - 2 * int(above[0]) + 1 if above.size else 0  # differences go by twos: half way to the next
    return Verdict(float(p_values[min(only_a, only_b)]), float(most))


class SwappedSums:
    """The sums of two models in every swap of units, made once for all metrics that are formulas of them."""

    def __init__(self, a: Mapping[str, Contribution], b: Mapping[str, Contribution], units: Units) -> None:
        self._units = units
        self._half_sum: dict[str, Field] = {}
        self._half_difference: dict[str, Any] = {}
        self._kept: dict[int, tuple[Sums, Sums]] = {}
        for name in a:
            places, table_a, table_b, size = _aligned(a[name], b[name], units)
            ones = np.ones((1, units.keys_U.size))
            self._half_sum[name] = Field(places, (weighted(ones, table_a) + weighted(ones, table_b)) / 2, size)
            self._half_difference[name] = (table_a - table_b) / 2
        width = sum(field.keys.size for field in self._half_sum.values())
        self._is_small = FLIPS * width <= _CHUNK

    def test(self, value: Callable[[Sums], np.ndarray]) -> Verdict | None:
        """The test of value(a) − value(b) by swaps of the models within units; None if undefined."""

        def differences(start: int, signs_FU: np.ndarray) -> np.ndarray:
            ours, theirs = self._sides(start, signs_FU)
            return value(ours) - value(theirs)

        return _verdict(self._units, differences)

    def _sides(self, start: int, signs_FU: np.ndarray) -> tuple[Sums, Sums]:
        if start in self._kept:
            return self._kept[start]
        moved = {name: weighted(signs_FU, table) for name, table in self._half_difference.items()}
        half = self._half_sum.items()
        ours, theirs = (
            Sums({name: Field(f.keys, f.values_RK + sign * moved[name], f.size) for name, f in half})
            for sign in (1, -1)
        )
        if self._is_small:
            self._kept[start] = ours, theirs
        return ours, theirs


def flipped_sum(changes_U: np.ndarray, units: Units) -> Verdict | None:
    """The test of the sum of each unit's share in a difference, by flips of its sign."""
    on_grid_U1 = on_grid(changes_U[:, None])  # so that the order of adding cannot show
    return _verdict(units, lambda start, signs_FU: (signs_FU @ on_grid_U1)[:, 0])


_AS_IT_IS = -1  # in place of the number of the first flip


def _verdict(units: Units, differences: Callable[[int, np.ndarray], np.ndarray]) -> Verdict | None:
    """The test of differences under signs [F, U] of the units, of which the first is the flip of that number."""
    observed = abs(float(differences(_AS_IT_IS, np.ones((1, units.keys_U.size)))[0]))
    if np.isnan(observed):
        return None
    drawn, step = [], max(64, _CHUNK // max(1, units.keys_U.size) // 64 * 64)
    for start in range(0, FLIPS, step):
        drawn.append(np.abs(differences(start, _signs(units, start, min(step, FLIPS - start)))))
    sizes_F = np.sort(np.nan_to_num(np.concatenate(drawn), nan=-1.0))
    as_far = sizes_F.size - int(np.searchsorted(sizes_F, _tied(observed)))  # a swap of equals must count as equal
    most = int(ALPHA * (1 + FLIPS) - 1 + 1e-9)  # so many may be as far
    return Verdict((1 + as_far) / (1 + FLIPS), max(0.0, float(sizes_F[-1 - most])))


def _tied(size: float) -> float:
    return size * (1 - 1e-12)


def studentised(difference: float, verdict: Verdict, squares: float, num_units: int) -> tuple[float, float] | None:
    """The interval of a difference whose units have shares with this sum of squares.

    Flips leave the squares as they are, so the difference over its standard error (its size in units of what is left
    of the squares) grows with the difference alone, under every flip: the test by the one is the test by the other,
    and the interval of the studentised statistic excludes 0 exactly where the p-value is at most 5 %.
    """
    if num_units < 2:
        return None

    def error(size: float) -> float:
        return sqrt(max(0.0, squares - size * size / num_units) * num_units / (num_units - 1))

    ours, critical = error(difference), error(verdict.critical)
    if difference and ours <= 1e-9 * abs(difference):  # every unit alike: as far from it as Wilson's of all or nothing
        spread = abs(difference) * 4 / (num_units + 4)
    elif verdict.critical == 0:
        spread = 0.0
    else:
        spread = verdict.critical / critical * ours if critical else float("inf")
    low, high = difference - spread, difference + spread
    if verdict.p_value > ALPHA:  # rounding, and where the squares are those of another approximation
        return min(low, 0.0), max(high, 0.0)
    return (max(low, 0.0), high) if difference > 0 else (low, min(high, 0.0))


def _signs(units: Units, start: int, count: int) -> np.ndarray:
    """±1 for each flip and unit, [F, U]: one 64-bit number is 64 signs; `start` is a multiple of 64."""
    return _drawn_signs(units.keys_U.astype(np.uint64).tobytes(), units.seed, start, count).astype(np.float64)


@lru_cache(maxsize=1)  # all metrics of a comparison have the same flips; a byte each, 4 MiB
def _drawn_signs(keys: bytes, seed: int, start: int, count: int) -> np.ndarray:
    seeded_U = mix(np.frombuffer(keys, dtype=np.uint64) ^ mix(np.array([~seed % (1 << 64)], dtype=np.uint64)))
    bits_64 = np.arange(64, dtype=np.uint64)[:, None]
    signs = [
        1 - 2 * ((mix(seeded_U + np.uint64(word)) >> bits_64) & np.uint64(1)).astype(np.int8)
        for word in range(start // 64, -(-(start + count) // 64))
    ]
    return np.concatenate(signs)[:count]


def _aligned(a: Contribution, b: Contribution, units: Units) -> tuple[np.ndarray, Any, Any, int | None]:
    """The unit tables of two contributions over the same places."""
    places = None
    if isinstance(a, OneHot) and isinstance(b, OneHot):
        places = np.union1d(a.codes[a.codes >= 0], b.codes[b.codes >= 0])
    places, table_a, size = units.table(a, places)
    return places, table_a, units.table(b, places)[1], size


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979): controls the chance of any false finding. NaN is no test and stays NaN."""

    def adjust(ordered: np.ndarray) -> np.ndarray:
        return np.maximum.accumulate(ordered * np.arange(ordered.size, 0, -1))

    return _adjusted(p_values, adjust)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's step-up adjustment (1995): controls the expected share of false findings.

    NaN is no test: it stays NaN, and the others are a family without it.
    """

    def adjust(ordered: np.ndarray) -> np.ndarray:
        scaled = ordered * ordered.size / np.arange(1, ordered.size + 1)
        return np.minimum.accumulate(scaled[::-1])[::-1]

    return _adjusted(p_values, adjust)


def _adjusted(p_values: Sequence[float], adjust: Callable[[np.ndarray], np.ndarray]) -> list[float]:
    """`adjust` of the ascending p-values that are numbers, each back in its place and at most 1."""
    given = np.asarray(p_values, dtype=np.float64)
    wrong = (given < 0) | (given > 1)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise MetricError(f"p-value {place} is {given[place]:g}; expected a number from 0 to 1, or NaN for no test")
    tested = np.flatnonzero(~np.isnan(given))
    ordered = tested[np.argsort(given[tested], kind="stable")]
    adjusted = np.full(given.size, np.nan)
    adjusted[ordered] = np.minimum(adjust(given[ordered]), 1.0)
    return adjusted.tolist()
