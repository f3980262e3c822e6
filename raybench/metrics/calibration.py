"""Expected and maximum calibration error: how far confidence is from accuracy, in bins of equal width.

A bin holds confidences in (low, high], the first also 0. Per bin the state keeps the number of examples, of right
ones and the exact sum of confidences, so bins are merged and never shard results. `per_class` lists the reliability
bins: the accuracy in each.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.metrics.columns import class_targets, integers_of, numbers_of
from raybench.metrics.confusion import IGNORE_INDEX
from raybench.metrics.metric import Contribution, Measure, Metric, Options, ratio, to_float
from raybench.metrics.state import Sums

__all__ = ["ECE", "MCE"]

_SOURCE = "Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017, arXiv:1706.04599"


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


def _gaps(sums: Sums) -> np.ndarray:
    """|right − Σ confidence| a bin, exact before it is rounded, [R, bins]; NaN where a confidence was."""
    return np.abs(to_float(sums["right"] - sums["confidence"])) + to_float(sums["unknown"])[:, None]


def _ece(sums: Sums, options: Options) -> np.ndarray:
    return ratio(_gaps(sums).sum(axis=1), to_float(sums["n"]))


def _mce(sums: Sums, options: Options) -> np.ndarray:
    count = to_float(sums["count"])
    largest = np.max(np.where(count > 0, ratio(_gaps(sums), count), 0.0), axis=1)
    return largest + to_float(sums["unknown"])  # NaN where a confidence was, also if all were


def _bins(options: Options) -> list[str]:
    return [f"{k / options['bins']:.3g}-{(k + 1) / options['bins']:.3g}" for k in range(options["bins"])]


_BINS = Measure(
    name="reliability",
    columns=("target", "prediction", "confidence"),
    options={"bins": 15, "labels": None, "ignore_index": IGNORE_INDEX},
    contributions=_contributions,
    reads={"unknown": "confidence"},
)
ECE = Metric(
    measure=_BINS,
    value=_ece,
    per_class=lambda sums, options: (ratio(sums["right"], sums["count"]), sums["count"]),
    classes=_bins,
    higher_is_better=False,
    unit="probability",
    source=_SOURCE,
    undefined_class="no confidence falls into this bin",
)
MCE = Metric(
    measure=_BINS,
    value=_mce,
    higher_is_better=False,
    unit="probability",
    source=_SOURCE,
)
