"""COCO's twelve box figures, by faster-coco-eval over images in canonical order.

Average precision over IoU 0.50:0.95 (and at 0.50, 0.75, by size), average recall for 1, 10 and 100 detections an image
(and by size). Equal scores of different images keep the canonical (id) order, so the table does not depend on shards.
Truth annotations are numbered from 1, because 0 means unmatched there. No detection at all is AP 0; a size without
truth is undefined. Areas are width × height unless `truth_areas` says otherwise.
The boxes of an image are numbers one after the other, or a list of four a box. Intervals leave out a twentieth of the
images in turn and accumulate the matches of the others anew; no detection meets its truths twice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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

_Box = tuple[int, np.ndarray, int]
_AREAS = [[0.0, 1e10], [0.0, 32.0**2], [32.0**2, 96.0**2], [96.0**2, 1e10]]  # COCO's, in square pixels
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


class Figure(NamedTuple):
    """Where a figure is among COCO's accumulations."""

    kind: str  # precision or recall
    area: int = 0  # all, small, medium, large
    most: int = 100  # detections of an image and class that count
    iou: int | None = None  # place of the threshold; None: the mean over all


FIGURES = {  # in the order of COCO's summary
    "ap": Figure("precision"),
    "ap_50": Figure("precision", iou=0),
    "ap_75": Figure("precision", iou=5),
    "ap_small": Figure("precision", area=1),
    "ap_medium": Figure("precision", area=2),
    "ap_large": Figure("precision", area=3),
    "ar_1": Figure("recall", most=1),
    "ar_10": Figure("recall", most=10),
    "ar_100": Figure("recall"),
    "ar_small": Figure("recall", area=1),
    "ar_medium": Figure("recall", area=2),
    "ar_large": Figure("recall", area=3),
}


class Matched:
    """Detections that have met their truths, image by image; a figure accumulates what it needs of them, once."""

    def __init__(self, evaluation: Any, matches: np.ndarray) -> None:
        self._evaluation = evaluation
        self._matches = matches  # [classes, areas, images]
        self._found: dict[tuple[int, int], Any] = {}

    def figure(self, name: str) -> float:
        """NaN where there is no truth to find."""
        place = FIGURES[name]
        found = self._accumulated(place.area, place.most)[place.kind]  # [IoU, (recall,) classes, 1, 1]
        known = found if place.iou is None else found[place.iou]
        known = known[known > -1]
        return float(np.mean(known)) if known.size else np.nan

    def part(self, kept: np.ndarray) -> Matched:
        """The same of some images only."""
        return Matched(self._evaluation, self._matches[:, :, kept])

    def _accumulated(self, area: int, most: int) -> Any:
        if (area, most) not in self._found:
            evaluation, matches = self._evaluation, self._matches[:, area]
            params = evaluation._paramsEval
            params.imgIds, params.areaRng, params.maxDets = (
                list(range(matches.shape[1])),
                _AREAS[area : area + 1],
                [most],
            )
            evaluation._evalImgs_cpp = matches.reshape(-1).tolist()
            evaluation.accumulate()
            self._found[area, most] = {kind: evaluation.eval[kind] for kind in ("precision", "recall")}
        return self._found[area, most]


class NothingDetected:
    """Nothing was found: 0 where there was something to find."""

    def __init__(self, annotations: list[dict[str, Any]]) -> None:
        areas = [_AREAS[FIGURES[name].area] for name in FIGURES]
        self._figures = {
            name: 0.0 if any(low <= a["area"] <= high and not a["iscrowd"] for a in annotations) else np.nan
            for name, (low, high) in zip(FIGURES, areas, strict=True)
        }

    def figure(self, name: str) -> float:
        return self._figures[name]

    def part(self, kept: np.ndarray) -> NothingDetected:
        return self


def match(records: pa.Table, options: Options) -> Matched | NothingDetected:
    """The detections of all images, held against their truths."""
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
    if not found or not annotations:
        return NothingDetected(annotations)
    truth = COCO(
        {
            "info": {},
            "images": [{"id": image + 1, "width": 1, "height": 1} for image in range(records.num_rows)],
            "categories": [{"id": c + 1, "name": str(label)} for c, label in enumerate(options["labels"])],
            "annotations": annotations,
        },
        print_function=_silent,
    )
    evaluation = COCOeval_faster(
        truth, truth.loadRes(found), iouType="bbox", print_function=_silent, extra_calc=False, separate_eval=True
    )
    evaluation.evaluate()
    matches = np.array(evaluation._evalImgs_cpp, dtype=object).reshape(num_classes, len(_AREAS), records.num_rows)
    return Matched(evaluation, matches)


def _silent(*args: object) -> None:
    pass


def _figure(name: str) -> TableMetric:
    return TableMetric(
        columns=_COLUMNS,
        measure=match,
        value=lambda measured, options: measured.figure(name),
        part=lambda measured, kept: measured.part(kept),
        options={"labels": REQUIRED},
        higher_is_better=True,
        source="Lin et al. 2014, arXiv:1405.0312; https://cocodataset.org/#detection-eval",
        undefined="no image has truth that this figure counts",
    )


COCO_AP, COCO_AP_50, COCO_AP_75, COCO_AP_SMALL, COCO_AP_MEDIUM, COCO_AP_LARGE = map(_figure, list(FIGURES)[:6])
COCO_AR_1, COCO_AR_10, COCO_AR_100, COCO_AR_SMALL, COCO_AR_MEDIUM, COCO_AR_LARGE = map(_figure, list(FIGURES)[6:])
