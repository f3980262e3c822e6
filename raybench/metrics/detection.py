"""COCO's twelve box figures, by faster-coco-eval over images in canonical order.

Average precision over IoU 0.50:0.95 (and at 0.50, 0.75, by size), average recall for 1, 10 and 100 detections an image
(and by size). Equal scores of different images keep the canonical (id) order, so the table does not depend on shards.
Truth annotations are numbered from 1, because 0 means unmatched there. No detection at all is AP 0; a size without
truth is undefined. Areas are width × height unless `truth_areas` says otherwise.
The boxes of an image are numbers one after the other, or a list of four a box. Intervals leave out a twentieth of the
images in turn and read the matches of the others (matched_boxes.py); no detection meets its truths twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.columns import Ragged, integer_lists_of, lists_of, place_of, same_lengths
from raybench.metrics.matched_boxes import AREAS, FIGURES, Matched, NothingDetected
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

_COLUMNS = ("truth_boxes", "truth_labels", "boxes", "labels", "box_scores")


class _Boxes(NamedTuple):
    """Boxes [B, 4] of all images in their order, with the place of the image and of the class of each."""

    images: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    lists: Ragged  # the classes as they were given, a list an image

    def counts(self, shape: tuple[int, int]) -> np.ndarray:
        """How many of each class there are in each image, [classes, images]."""
        return np.bincount(self.classes * shape[1] + self.images, minlength=shape[0] * shape[1]).reshape(shape)

    def of(self, chosen: np.ndarray) -> _Boxes:
        """Some of them."""
        return self._replace(images=self.images[chosen], boxes=self.boxes[chosen], classes=self.classes[chosen])

    def annotations(self, own: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
        """COCO's, with further values of each."""
        names = ("image_id", "category_id", "bbox", *own)
        columns = (self.images.tolist(), self.classes.tolist(), self.boxes.tolist(), *own.values())
        return [dict(zip(names, one, strict=True)) for one in zip(*columns, strict=True)]


def _boxes(records: pa.Table, column: str, labels: str, num_classes: int) -> _Boxes:
    boxes = lists_of(records, column, nan=False, nested=True)
    classes = integer_lists_of(records, labels, low=0, high=num_classes - 1)
    lengths, numbers = np.diff(classes.offsets), np.diff(boxes.offsets)
    for image in np.flatnonzero(numbers != 4 * lengths)[:1]:
        given = f"{numbers[image]} numbers in {column!r} for {lengths[image]} {labels!r}"
        raise MetricError(f"{place_of(records, image)} has {given}; expected x, y, width, height of each box")
    images, found = np.repeat(np.arange(records.num_rows), lengths), boxes.values.astype(np.float64).reshape(-1, 4)
    for wrong in np.flatnonzero((found[:, 2:] < 0).any(axis=1) | ~np.isfinite(found).all(axis=1))[:1]:
        row = place_of(records, images[wrong])
        raise MetricError(f"{row} has a box of negative or infinite size in {column!r}")
    return _Boxes(images, found, classes.values, classes)


def _of_truths(records: pa.Table, column: str, truth_labels: Ragged, low: float) -> np.ndarray | None:
    """An optional column with a number for each truth."""
    if column not in records.column_names:
        return None
    found = lists_of(records, column, low=low, nan=False)
    same_lengths(records, ("truth_labels", column), truth_labels, found)
    return found.values


def match(records: pa.Table, options: Options) -> Matched | NothingDetected:
    """The detections of all images, held against their truths."""
    from faster_coco_eval.core import COCO, COCOeval_faster

    shape = len(options["labels"]), records.num_rows
    truths = _boxes(records, "truth_boxes", "truth_labels", shape[0])
    found = _boxes(records, "boxes", "labels", shape[0])
    box_scores = lists_of(records, "box_scores", nan=False)
    same_lengths(records, ("boxes", "box_scores"), found.lists, box_scores)
    areas = _of_truths(records, "truth_areas", truths.lists, 0.0)
    crowds = _of_truths(records, "truth_crowd", truths.lists, 0.0)
    area_B = (truths.boxes[:, 2] * truths.boxes[:, 3] if areas is None else areas).astype(np.float64)
    crowd_B = np.zeros(len(area_B), dtype=bool) if crowds is None else crowds.astype(np.int64) > 0
    there = [~crowd_B & (low <= area_B) & (area_B <= high) for low, high in AREAS]
    truths_KAI = np.stack([truths.of(place).counts(shape) for place in there], axis=1)
    if not len(found.boxes) or not len(truths.boxes):
        return NothingDetected(truths_KAI)
    own = {"area": area_B.tolist(), "iscrowd": crowd_B.astype(int).tolist(), "id": range(1, len(area_B) + 1)}
    truth = COCO(
        {
            "info": {},
            "images": [{"id": image, "width": 1, "height": 1} for image in range(shape[1])],
            "categories": [{"id": c, "name": str(label)} for c, label in enumerate(options["labels"])],
            "annotations": truths.annotations(own),
        },
        print_function=_silent,
    )
    detections = found.annotations({"score": box_scores.values.astype(np.float64).tolist()})
    evaluation = COCOeval_faster(
        truth, truth.loadRes(detections), iouType="bbox", print_function=_silent, extra_calc=False, separate_eval=True
    )
    evaluation.evaluate()
    params = evaluation.params
    return Matched.of(
        evaluation._evalImgs_cpp,
        found.counts(shape),
        truths_KAI,
        num_thresholds=len(params.iouThrs),
        recalls=params.recThrs,
    )


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
