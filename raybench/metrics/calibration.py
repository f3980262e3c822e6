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

from collections.abc import Callable, Mapping
from functools import lru_cache, reduce

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
_MOST_AT_ONCE, _MOST_PARTS = 1 << 14, 64  # numbers looked at together: they stay in the cache
_STEEP, _MARGIN = 1e-6, 1e-9  # of the error seen and of what is halved: more than rounding moves a line by


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

    def error(gaps_BR: np.ndarray, share_B1: np.ndarray) -> np.ndarray:
        sizes_BR = np.abs(gaps_BR, out=gaps_BR)
        return np.asarray((sizes_BR / share_B1).max(axis=0) if largest else sizes_BR.sum(axis=0))

    def ends(sums: Sums, options: Options, units: UnitTables | None) -> Ends:
        n = float(sums["n"][0])
        count_B, right_B, confidence_B = (to_float(sums[name][0]) for name in ("count", "right", "confidence"))
        gap_B = (right_B - confidence_B) / n
        share_B1 = np.where(count_B > 0, count_B, 1.0)[:, None] / n
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
        moves_BB = vectors * np.sqrt(np.maximum(values, 0.0))
        moved = (gap_B != 0) | moves_BB.any(axis=1)  # where nothing is, nothing is added
        noise_BR = np.einsum("bk,rk->br", moves_BB[moved], _normal(count_B.size))
        seen = float(error(gap_B[:, None].copy(), share_B1)[0])
        return _inverted(gap_B[moved, None], noise_BR, seen, lambda gaps_BR: error(gaps_BR, share_B1[moved]))

    return ends


@lru_cache(maxsize=1)
def _normal(num_bins: int) -> np.ndarray:
    """The draws of all trials, [R, bins]."""
    normal_RB = np.random.default_rng(0).standard_normal((_DRAWS, num_bins))
    normal_RB.flags.writeable = False
    return normal_RB


def _inverted(gap_B1: np.ndarray, noise_BR: np.ndarray, seen: float, error: Callable[[np.ndarray], np.ndarray]) -> Ends:
    """The errors of all multiples of the gaps under which the error seen lies between the tails; `error` takes gaps
    [B, R] and leaves something else in their place."""
    few = _TAIL * noise_BR.shape[1]

    def errors(multiples_P: np.ndarray, draws_BR: np.ndarray) -> np.ndarray:
        if multiples_P.size == 1:
            return error(multiples_P * gap_B1 + draws_BR)[None]
        gaps_BPR = (gap_B1 * multiples_P)[:, :, None] + draws_BR[:, None, :]
        return error(gaps_BPR.reshape(len(gap_B1), -1)).reshape(multiples_P.size, -1)

    at_R = {multiple: errors(np.array([multiple]), noise_BR)[0] for multiple in (0.0, 1.0, 2.0)}
    if seen == 0:
        return 0.0, float(np.quantile(at_R[0.0], 1 - _TAIL))
    low, most = 0.0, noise_BR.shape[1] - few
    if np.count_nonzero(at_R[0.0] <= seen) > most:  # chance alone is hardly ever so large
        low = _crossing(errors, noise_BR, seen, most, at_R, (0.0, 1.0), 2.0, _STEPS)
    top = 2.0
    while np.count_nonzero(at_R[top] <= seen) > few:
        top *= 2
        (at_R[top],) = errors(np.array([top]), noise_BR)
    half = top / 2  # the first halving of (0, top)
    between, beyond = (0.0, half), top
    if np.count_nonzero(at_R[half] <= seen) > few:
        between, beyond = (half, top), 2 * top
        (at_R[beyond],) = errors(np.array([beyond]), noise_BR)
    high = _crossing(errors, noise_BR, seen, few, at_R, between, beyond, _STEPS - 1)
    return low * seen, max(high, 1.0) * seen


def _crossing(
    errors: Callable[[np.ndarray, np.ndarray], np.ndarray],
    draws_BR: np.ndarray,
    seen: float,
    least: float,
    at_R: Mapping[float, np.ndarray],
    between: tuple[float, float],
    beyond: float,
    left: int,
) -> float:
    """The multiple from which on at most `least` draws have an error up to the one seen, by halving `between`.

    `errors` of multiples [P] and draws [B, R] are [P, R]; `at_R` has those of the ends and of a multiple `beyond` one.
    An error is convex in the multiple: between two multiples it is below the line through its values there, outside
    of them above it. So most halvings are decided by lines. Of the draws of which they leave it open, all multiples
    that several halvings may come to are looked at together, and those that are decided then are not looked at again.
    """
    low, high = between
    at_low_R, at_high_R = at_R[low], at_R[high]
    below_R, above_R = _below_and_above(at_R, between, beyond, seen)
    rank = below_R.size - 1 - int(least)
    holds_to, holds_up_to = np.partition(below_R, rank)[rank], np.partition(above_R, rank)[rank]
    while left:
        middle = (low + high) / 2
        if middle < holds_to:
            low = middle
        elif middle > holds_up_to:
            high = middle
        else:
            break
        left -= 1
    surely = int(np.count_nonzero(below_R > high))
    (open_R,) = ((below_R <= high) & (above_R >= low)).nonzero()
    draws_BR = draws_BR.take(open_R, axis=1)  # row by row, as the whole: sums keep their order
    at_low_R, at_high_R = at_low_R[open_R], at_high_R[open_R]
    while left:
        parts = 2
        while parts < _MOST_PARTS and 2 * parts * draws_BR.size <= _MOST_AT_ONCE:
            parts *= 2
        parts = min(parts, 1 << left)
        left -= parts.bit_length() - 1
        step = (high - low) / parts
        inner_PR = errors(low + step * np.arange(1, parts), draws_BR)
        holds = ((inner_PR <= seen).sum(axis=1) > least - surely).tolist()
        first, last = 0, parts
        while last - first > 1:
            middle = (first + last) // 2
            first, last = (middle, last) if holds[middle - 1] else (first, middle)
        decided = []
        if first > 0:
            before_R, at_low_R = inner_PR[first - 2] if first > 1 else at_low_R, inner_PR[first - 1]
            decided.append((at_low_R > seen) & (at_low_R >= before_R))
        if last < parts:
            after_R, at_high_R = inner_PR[last] if last < parts - 1 else at_high_R, inner_PR[last - 1]
            decided.append((at_high_R > seen) & (at_high_R >= after_R))
        low, high = low + step * first, low + step * last
        below_R = np.maximum(at_low_R, at_high_R) <= seen
        surely += int(np.count_nonzero(below_R))
        (open_R,) = (~reduce(np.logical_or, decided, below_R)).nonzero()
        draws_BR = draws_BR.take(open_R, axis=1)
        at_low_R, at_high_R = at_low_R[open_R], at_high_R[open_R]
    return (low + high) / 2


def _below_and_above(
    at_R: Mapping[float, np.ndarray], between: tuple[float, float], beyond: float, seen: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of each draw up to which multiple between two its error is surely up to the one seen, from which on surely above.

    -inf and inf where lines do not tell, and a little less than they tell, so that rounding decides nothing.
    """
    (low, high), margin = between, _MARGIN * (between[1] - between[0])
    near = high if beyond > high else low
    slope_R = (at_R[high] - at_R[low]) / (high - low)
    outer_R = (at_R[beyond] - at_R[near]) / (beyond - near)
    steep = _STEEP * seen
    with np.errstate(divide="ignore", invalid="ignore"):
        reached_R = low + (seen - at_R[low]) / slope_R - margin
        passed_R = near + (seen - at_R[near]) / outer_R + margin
    starts_below_R, ends_below_R = at_R[low] <= seen, at_R[high] <= seen
    below_R = np.where(starts_below_R & (slope_R > steep), reached_R, -np.inf)
    below_R[starts_below_R & ends_below_R] = np.inf
    return below_R, np.where(outer_R > steep, passed_R, np.inf)


@lru_cache(maxsize=8)
def _names(num_bins: int) -> tuple[str, ...]:
    return tuple(f"{k / num_bins:.3g}-{(k + 1) / num_bins:.3g}" for k in range(num_bins))


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
    classes=lambda options: _names(options["bins"]),
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
