"""Mean IoU, Dice and pixel accuracy from pixel counts a class, summed over all images, never averaged by image.

Pixels of the ignore index are not in the counts; records.segmentation_records makes them. A class without a pixel on
either side is left out of the mean.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from raybench.metrics.classification import mean_over
from raybench.metrics.columns import integer_lists_of, matrix_of, refuse
from raybench.metrics.metric import REQUIRED, Contribution, Measure, Metric, Options, ratio
from raybench.metrics.state import Sums

__all__ = ["DICE", "MEAN_IOU", "PIXEL_ACCURACY"]

_COLUMNS = ("intersection", "predicted_pixels", "target_pixels")


def _contributions(records: pa.Table, options: Options) -> dict[str, Contribution]:
    num_classes = len(options["labels"])
    for column in _COLUMNS:
        integer_lists_of(records, column, low=0)
    counts = {column: matrix_of(records, column, num_classes).astype(np.int64) for column in _COLUMNS}
    for column in _COLUMNS[1:]:
        fewer_NC = counts[column] < counts["intersection"]
        if fewer_NC.any():
            row, label = (int(places[0]) for places in np.nonzero(fewer_NC))
            most = f"at most the {counts[column][row, label]} of {column!r}"
            refuse(records, "intersection", row, counts["intersection"][row, label], most)
    return {"n": np.ones(records.num_rows, dtype=np.int64), **counts}


PIXELS = Measure(name="pixels", columns=_COLUMNS, options={"labels": REQUIRED}, contributions=_contributions)
Formula = Callable[[Sums], np.ndarray]


def _iou(sums: Sums) -> np.ndarray:
    hits = sums["intersection"]
    return ratio(hits, sums["predicted_pixels"] + sums["target_pixels"] - hits)


def _dice(sums: Sums) -> np.ndarray:
    return ratio(2 * sums["intersection"], sums["predicted_pixels"] + sums["target_pixels"])


def _mean(formula: Formula) -> Metric:
    def value(sums: Sums, options: Options) -> np.ndarray:
        occurs_RC = sums["predicted_pixels"] + sums["target_pixels"] > 0
        return mean_over(formula(sums), occurs_RC.astype(np.float64))

    return Metric(
        measure=PIXELS,
        value=value,
        per_class=lambda sums, options: (formula(sums), sums["target_pixels"]),
        higher_is_better=True,
        source="Everingham et al. 2010, doi:10.1007/s11263-009-0275-4",
        undefined="no pixel counts",
        undefined_class="the class has no pixel on either side",
    )


MEAN_IOU, DICE = _mean(_iou), _mean(_dice)
PIXEL_ACCURACY = Metric(
    measure=PIXELS,
    value=lambda sums, options: ratio(sums["intersection"].sum(axis=1), sums["target_pixels"].sum(axis=1)),
    higher_is_better=True,
    source="Long, Shelhamer and Darrell 2015, arXiv:1411.4038",
    undefined="no pixel counts",
)
