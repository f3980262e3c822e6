"""Expected and maximum calibration error: how far confidence is from accuracy, in bins of equal width.

A bin holds confidences in (low, high], the first also 0. Per bin the state keeps the number of examples, of right
ones and the exact sum of confidences, so bins are merged and never shard results. `per_class` lists the reliability
bins: the accuracy in each.

The value is the one that is published everywhere, and it is too large by its nature: chance alone parts confidence and
accuracy in every bin, so a perfectly calibrated model has an ECE above 0 (Roelofs et al. 2022, arXiv:2012.08668). The
interval is that of the error without this bias: it holds the errors, as multiples of the gaps seen, under which a value
like this one is not too rare on either side (inversion of a parametric bootstrap). Its low end is 0 where calibration
alone explains the value. It needs no records, unless they are grouped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import class_targets, integers_of, numbers_of
from raybench.metrics.confusion import IGNORE_INDEX
from raybench.metrics.exact_sum import exact_sums_by
from raybench.metrics.metric import Contribution, Ends, Measure, Metric, Options, UnitTables, ratio, to_float
from raybench.metrics.state import Cells, Sums

__all__ = ["ECE", "MCE"]

_SOURCE = "Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017, arXiv:1706.04599"


_DRAWS = 2000
_TAIL = 0.025
_STEPS = 16  # halvings: to 2⁻¹⁵ of the value, far below what the draws leave open


def _contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
    num_bins = options["bins"]
    target, kept = class_targets(records, options["labels"], options["ignore_index"])
    confidence = numbers_of(records, "confidence", low=0.0, high=1.0)
    known = kept & ~np.isnan(confidence)
    edges = np.arange(1, num_bins) / num_bins
    inside_NB = (np.searchsorted(edges, confidence, side="left")[:, None] == np.arange(num_bins)) & known[:, None]
    right = (integers_of(records, "prediction") == target)[:, None]
    return {
        "n": kept.astype(np.int64),
        "ignored": (~kept).astype(np.int64),
        "count": inside_NB.astype(np.int64),
        "right": (inside_NB & right).astype(np.int64),
        "confidence": np.where(inside_NB, confidence[:, None], 0.0),
        "unknown": np.where(kept & ~known, np.nan, 0.0),  # a NaN confidence leaves the error undefined
    }


def _totals(records: pa.Table, options: Options) -> dict[str, Cells]:
    """The sums of `_contributions`, without a column for every bin."""
    num_bins = options["bins"]
    target, kept = class_targets(records, options["labels"], options["ignore_index"])
    confidence = numbers_of(records, "confidence", low=0.0, high=1.0)
    right = integers_of(records, "prediction") == target
    known = kept & ~np.isnan(confidence)
    bins = np.searchsorted(np.arange(1, num_bins) / num_bins, confidence[known], side="left")
    unknown = int(kept.sum() - known.sum())
    fields = {
        "n": Cells.from_dense([int(kept.sum())], size=None),
        "ignored": Cells.from_dense([int((~kept).sum())], size=None),
        "count": Cells.from_dense(np.bincount(bins, minlength=num_bins), size=num_bins),
        "right": Cells.from_dense(np.bincount(bins[right[known]], minlength=num_bins), size=num_bins),
        "confidence": Cells.from_dense(exact_sums_by(confidence[known], bins, num_bins), size=num_bins, is_float=True),
        "unknown": Cells.from_dense([0], size=None, is_float=True),
    }
    if unknown:
        fields["unknown.nan"] = Cells.from_dense([unknown], size=None)
    return fields


def _gaps(sums: Sums) -> np.ndarray:
    """|right − Σ confidence| a bin, exact before it is rounded, [R, bins]; NaN where a confidence was."""
    return np.abs(to_float(sums["right"] - sums["confidence"])) + to_float(sums["unknown"])[:, None]


def _ece(sums: Sums, options: Options) -> np.ndarray:
    return ratio(_gaps(sums).sum(axis=1), to_float(sums["n"]))


def _mce(sums: Sums, options: Options) -> np.ndarray:
    count = to_float(sums["count"])
    largest = np.max(np.where(count > 0, ratio(_gaps(sums), count), 0.0), axis=1)
    return largest + to_float(sums["unknown"])  # NaN where a confidence was, also if all were


def _ends(largest: bool) -> Callable[[Sums, Options, UnitTables | None], Ends]:
    """The interval of the expected or of the largest gap."""

    def ends(sums: Sums, options: Options, units: UnitTables | None) -> Ends:
        n = float(sums["n"][0])
        count_B, right_B, confidence_B = (to_float(sums[name][0]) for name in ("count", "right", "confidence"))
        gap_B = (right_B - confidence_B) / n
        share_B1 = np.where(count_B > 0, count_B, 1.0)[:, None] / n

        def error(gaps_BR: np.ndarray) -> np.ndarray:
            sizes_BR = np.abs(gaps_BR, out=gaps_BR)
            return np.asarray((sizes_BR / share_B1).max(axis=0) if largest else sizes_BR.sum(axis=0))

        accuracy_B = (right_B + 0.5) / (count_B + 1)
        inside_B = np.where(count_B > 0, gap_B * n / np.where(count_B > 0, count_B, 1.0), 0.0)
        squares_B = count_B * (accuracy_B * (1 - accuracy_B) + inside_B**2) / n**2
        covariance_BB = np.diag(squares_B) - np.multiply.outer(gap_B, gap_B) / n
        if units is not None:
            gaps_UB = (units["right"] - units["confidence"] - np.multiply.outer(units["n"][:, 0], gap_B)) / n
            num_units = len(gaps_UB)
            if num_units < 2:
                return None
            least_B = covariance_BB.diagonal()  # clusters that are all alike have no variance to show
            covariance_BB = np.einsum("ub,uc->bc", gaps_UB, gaps_UB) * num_units / (num_units - 1)
            covariance_BB += np.diag(np.maximum(0.0, least_B - covariance_BB.diagonal()))
        values, vectors = np.linalg.eigh(covariance_BB)
        noise_RB = np.einsum("rk,bk->rb", _normal(count_B.size), vectors * np.sqrt(np.maximum(values, 0.0)))
        return _inverted(gap_B[:, None], np.ascontiguousarray(noise_RB.T), error)

    return ends


@lru_cache(maxsize=1)
def _normal(num_bins: int) -> np.ndarray:
    """The draws of all trials, [R, bins]."""
    normal_RB = np.random.default_rng(0).standard_normal((_DRAWS, num_bins))
    normal_RB.flags.writeable = False
    return normal_RB


def _inverted(gap_B1: np.ndarray, noise_BR: np.ndarray, error: Callable[[np.ndarray], np.ndarray]) -> Ends:
    """The errors of all multiples of the gaps under which the error seen lies between the tails; `error` takes gaps
    [B, R] and leaves something else in their place."""
    seen, few = float(error(gap_B1.copy())[0]), _TAIL * noise_BR.shape[1]

    def errors(multiple: float, draws_BR: np.ndarray) -> np.ndarray:
        return error(multiple * gap_B1 + draws_BR)

    by_chance_R = errors(0.0, noise_BR)
    if seen == 0:
        return 0.0, float(np.quantile(by_chance_R, 1 - _TAIL))
    low = 0.0
    if np.count_nonzero(by_chance_R <= seen) > noise_BR.shape[1] - few:  # chance alone is hardly ever so large
        low = _crossing(errors, noise_BR, seen, noise_BR.shape[1] - few, (0.0, 1.0))
    top = 2.0
    while np.count_nonzero(errors(top, noise_BR) <= seen) > few:
        top *= 2
    high = _crossing(errors, noise_BR, seen, few, (0.0, top))
    return low * seen, max(high, 1.0) * seen


def _crossing(
    errors: Callable[[float, np.ndarray], np.ndarray],
    draws_BR: np.ndarray,
    seen: float,
    least: float,
    between: tuple[float, float],
) -> float:
    """The multiple from which on at most `least` draws have an error up to the one seen.

    An error is convex in the multiple, so a draw that is below at both ends is so between them, and one that is above
    where its error grows already stays above: only draws of which it is open are looked at again.
    """
    (low, high), surely = between, 0
    at_low_R, at_high_R = errors(low, draws_BR), errors(high, draws_BR)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        at_middle_R = errors(middle, draws_BR)
        if surely + np.count_nonzero(at_middle_R <= seen) > least:
            above_R = (at_middle_R > seen) & (at_middle_R >= at_low_R)
            low, at_low_R = middle, at_middle_R
        else:
            above_R = (at_middle_R > seen) & (at_middle_R >= at_high_R)
            high, at_high_R = middle, at_middle_R
        below_R = (at_low_R <= seen) & (at_high_R <= seen)
        surely += int(np.count_nonzero(below_R))
        open_R = ~(above_R | below_R)
        draws_BR = np.compress(open_R, draws_BR, axis=1)  # row by row, as the whole: sums keep their order
        at_low_R, at_high_R = at_low_R[open_R], at_high_R[open_R]
    return (low + high) / 2


def _bins(options: Options) -> list[str]:
    return [f"{k / options['bins']:.3g}-{(k + 1) / options['bins']:.3g}" for k in range(options["bins"])]


_BINS = Measure(
    name="reliability",
    columns=("target", "prediction", "confidence"),
    options={"bins": 15, "labels": None, "ignore_index": IGNORE_INDEX},
    contributions=_contributions,
    totals=_totals,
    reads={"unknown": "confidence"},
)
ECE = Metric(
    measure=_BINS,
    value=_ece,
    ends=_ends(largest=False),
    per_class=lambda sums, options: (ratio(sums["right"], sums["count"]), sums["count"]),
    class_proportion=True,
    classes=_bins,
    higher_is_better=False,
    unit="probability",
    source=_SOURCE,
    undefined_class="no confidence falls into this bin",
)
MCE = Metric(
    measure=_BINS,
    value=_mce,
    ends=_ends(largest=True),
    higher_is_better=False,
    unit="probability",
    source=_SOURCE,
)
