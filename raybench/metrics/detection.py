"""COCO's twelve box figures, by faster-coco-eval over images in canonical order.

Average precision over IoU 0.50:0.95 (and at 0.50, 0.75, by size), average recall for 1, 10 and 100 detections an image
(and by size). Equal scores of different images keep the canonical (id) order, so the table does not depend on shards.
Truth annotations are numbered from 1, because 0 means unmatched there. No detection at all is AP 0; a size without
truth is undefined. Areas are width × height unless `truth_areas` says otherwise.
The boxes of an image are numbers one after the other, or a list of four a box.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.columns import Ragged, integer_lists_of, lists_of, place_of, same_lengths
from raybench.metrics.metric import REQUIRED, Options, TableMetric

__all__ = [
    "COCO_AP",
    "COCO_AP_50",
    "COCO_AP_75",
    "COCO_AP_LARGE",
    "COCO_AP_MEDIUM",
    "COCO_AP_SMALL",
    "COCO_AR_1",
    "COCO_AR_10",
    "COCO_AR_100",
    "COCO_AR_LARGE",
    "COCO_AR_MEDIUM",
    "COCO_AR_SMALL",
    "FIGURES",
]

FIGURES = (  # in the order of COCO's summary
    "ap", "ap_50", "ap_75", "ap_small", "ap_medium", "ap_large",
    "ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip
_Box = tuple[int, np.ndarray, int]
_COLUMNS = ("truth_boxes", "truth_labels", "boxes", "labels", "box_scores")


def _boxes(records: pa.Table, column: str, labels: str, num_classes: int) -> tuple[Ragged, list[_Box]]:
    """(image from 1, box, category from 1) in the order of the table, and the labels."""
    boxes = lists_of(records, column, nan=False, nested=True)
    classes = integer_lists_of(records, labels, low=0, high=num_classes - 1)
    found = []
    for image in range(records.num_rows):
        numbers, of_row = boxes.row(image).astype(np.float64), classes.row(image)
        if numbers.size != 4 * of_row.size:
            given = f"{numbers.size} numbers in {column!r} for {of_row.size} {labels!r}"
            raise MetricError(f"{place_of(records, image)} has {given}; expected x, y, width, height of each box")
        row = numbers.reshape(-1, 4)
        if (row[:, 2:] < 0).any() or not np.isfinite(row).all():
            raise MetricError(f"{place_of(records, image)} has a box of negative or infinite size in {column!r}")
        found += [(image + 1, box, int(label) + 1) for box, label in zip(row, of_row, strict=True)]
    return classes, found


def _of_truths(records: pa.Table, column: str, truth_labels: Ragged, low: float) -> np.ndarray | None:
    """An optional column with a number for each truth."""
    if column not in records.column_names:
        return None
    found = lists_of(records, column, low=low, nan=False)
    same_lengths(records, ("truth_labels", column), truth_labels, found)
    return found.values


def summary(records: pa.Table, options: Options) -> Mapping[str, float]:
    """COCO's twelve figures by name; NaN where there is no truth to find."""
    from faster_coco_eval.core import COCO, COCOeval_faster

    num_classes = len(options["labels"])
    truth_labels, truths = _boxes(records, "truth_boxes", "truth_labels", num_classes)
    labels, detections = _boxes(records, "boxes", "labels", num_classes)
    box_scores = lists_of(records, "box_scores", nan=False)
    same_lengths(records, ("boxes", "box_scores"), labels, box_scores)
    scores = box_scores.values.astype(np.float64)
    areas = _of_truths(records, "truth_areas", truth_labels, 0.0)
    crowds = _of_truths(records, "truth_crowd", truth_labels, 0.0)
    crowd = np.zeros(len(truths), dtype=bool) if crowds is None else crowds
    annotations: list[dict[str, Any]] = [
        {
            "id": place + 1,
            "image_id": image,
            "category_id": category,
            "bbox": box.tolist(),
            "area": float(box[2] * box[3] if areas is None else areas[place]),
            "iscrowd": int(crowd[place]),
        }
        for place, (image, box, category) in enumerate(truths)
    ]
    found = [
        {"image_id": image, "category_id": category, "bbox": box.tolist(), "score": float(score)}
        for (image, box, category), score in zip(detections, scores, strict=True)
    ]
    if not annotations:
        return dict.fromkeys(FIGURES, np.nan)
    truth = COCO(
        {
            "info": {},
            "images": [{"id": image + 1, "width": 1, "height": 1} for image in range(records.num_rows)],
            "categories": [{"id": c + 1, "name": str(label)} for c, label in enumerate(options["labels"])],
            "annotations": annotations,
        },
        print_function=_silent,
    )
    if not found:
        return {name: 0.0 if _has_truth(name, annotations) else np.nan for name in FIGURES}
    evaluation = COCOeval_faster(truth, truth.loadRes(found), iouType="bbox", print_function=_silent)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    figures = [float(value) for value in evaluation.stats[: len(FIGURES)]]
    return {name: np.nan if value < 0 else value for name, value in zip(FIGURES, figures, strict=True)}


def _has_truth(name: str, annotations: list[dict[str, Any]]) -> bool:
    low, high = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}.get(
        name.rpartition("_")[2], (0, 1e10)
    )
    return any(low <= annotation["area"] <= high and not annotation["iscrowd"] for annotation in annotations)


def _silent(*args: object) -> None:
    pass


def _figure(name: str) -> TableMetric:
    return TableMetric(
        columns=_COLUMNS,
        measure=summary,
        value=lambda measured, options: measured[name],
        options={"labels": REQUIRED},
        higher_is_better=True,
        source="Lin et al. 2014, arXiv:1405.0312; https://cocodataset.org/#detection-eval",
        undefined="no image has truth that this figure counts",
    )


COCO_AP, COCO_AP_50, COCO_AP_75, COCO_AP_SMALL, COCO_AP_MEDIUM, COCO_AP_LARGE = map(_figure, FIGURES[:6])
COCO_AR_1, COCO_AR_10, COCO_AR_100, COCO_AR_SMALL, COCO_AR_MEDIUM, COCO_AR_LARGE = map(_figure, FIGURES[6:])
