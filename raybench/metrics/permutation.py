"""Paired tests of two models on the same examples: exact McNemar and sign-flip permutation; families of p-values.

    mcnemar(only_a=12, only_b=3)                        # exact, two-sided
    holm([0.01, 0.04]), benjamini_hochberg([0.01, 0.04])

A permutation swaps the two models' contributions to a unit (an example or a cluster). For a mean that is Fisher's
sign-flip test; for F1 or BLEU the approximate randomisation test. Flips depend on (seed, id) alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from raybench.core.errors import MetricError
from raybench.metrics.bootstrap import Units, weighted
from raybench.metrics.coverage import mix
from raybench.metrics.metric import Contribution, OneHot
from raybench.metrics.state import Field, Sums

__all__ = ["FLIPS", "benjamini_hochberg", "holm", "mcnemar", "sign_flip"]

FLIPS = 9_999
_CHUNK = 1 << 22  # signs held at once


def mcnemar(*, only_a: int, only_b: int) -> float:
    """The exact two-sided p-value of the discordant pairs: examples that only one of the models has right."""
    from scipy.special import bdtr

    discordant = only_a + only_b
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), discordant, 0.5))) if discordant else 1.0


def sign_flip(
    a: dict[str, Contribution], b: dict[str, Contribution], units: Units, value: Callable[[Sums], np.ndarray]
) -> float | None:
    """The two-sided p-value of value(a) − value(b) under swaps of the models within units; None if undefined."""
    half_sum, half_difference = {}, {}
    for name in a:
        places, table_a, table_b, size = _aligned(a[name], b[name], units)
        ones = np.ones((1, units.keys_U.size))
        half_sum[name] = Field(places, (weighted(ones, table_a) + weighted(ones, table_b)) / 2, size)
        half_difference[name] = (table_a - table_b) / 2

    def differences(signs_FU: np.ndarray) -> np.ndarray:
        moved = {name: weighted(signs_FU, table) for name, table in half_difference.items()}
        sides = (
            Sums({name: Field(f.keys, f.values_RK + sign * moved[name], f.size) for name, f in half_sum.items()})
            for sign in (1, -1)
        )
        ours, theirs = (value(side) for side in sides)
        return ours - theirs

    observed = abs(float(differences(np.ones((1, units.keys_U.size)))[0]))
    if np.isnan(observed):
        return None
    as_far, step = 0, max(64, _CHUNK // max(1, units.keys_U.size) // 64 * 64)
    for start in range(0, FLIPS, step):
        drawn = differences(_signs(units, start, min(step, FLIPS - start)))
        as_far += int((np.abs(drawn) >= observed * (1 - 1e-12)).sum())  # a swap of equals must count as equal
    return (1 + as_far) / (1 + FLIPS)


def _signs(units: Units, start: int, count: int) -> np.ndarray:
    """±1 for each flip and unit, [F, U]: one 64-bit number is 64 signs; `start` is a multiple of 64."""
    seeded_U = mix(units.keys_U ^ mix(np.array([~units.seed % (1 << 64)], dtype=np.uint64)))
    bits_64 = np.arange(64, dtype=np.uint64)[:, None]
    words = [
        (mix(seeded_U + np.uint64(word)) >> bits_64) & np.uint64(1)
        for word in range(start // 64, -(-(start + count) // 64))
    ]
    return 1.0 - 2.0 * np.concatenate(words)[:count]


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
