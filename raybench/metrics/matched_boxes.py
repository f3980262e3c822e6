"""Detections that have met their truths, and COCO's twelve figures of them, of all images or of some.

    matched = Matched.of(evaluations, counts_KI, …)       # what faster-coco-eval's matching leaves
    matched.figure("ap"), matched.part(kept_I).figure("ap")

Matching is done once for all figures and all parts. What a part leaves of it is sorted already, and curves are read at
hits alone: between two of them recall stays and precision falls, so the numbers are those of COCO's accumulation to
the bit. Shapes: K classes, A areas, T thresholds of IoU, I images, D detections of a class by falling score, R recalls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["AREAS", "FIGURES", "Matched", "NothingDetected"]

AREAS = [[0.0, 1e10], [0.0, 32.0**2], [32.0**2, 96.0**2], [96.0**2, 1e10]]  # COCO's, in square pixels


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


class _Class(NamedTuple):
    """What the detections of a class met; those of equal scores are in the order of images."""

    image_D: np.ndarray
    place_D: np.ndarray  # among those of its image
    hit_ATD: np.ndarray  # met a truth that counts
    counts_ATD: np.ndarray  # hit or false; what met an ignored truth, or is itself outside the area, is neither
    truths_AI: np.ndarray  # that count


class Matched:
    """The matches of all classes, in the images that are kept."""

    def __init__(self, classes: Sequence[_Class], recalls_R: np.ndarray, kept_I: np.ndarray) -> None:
        self._classes, self._recalls_R, self._kept_I = classes, recalls_R, kept_I
        self._precisions: dict[int, np.ndarray] = {}

    @classmethod
    def of(
        cls,
        evaluations: Sequence[Any],
        found_KI: np.ndarray,
        truths_KAI: np.ndarray,
        *,
        num_thresholds: int,
        recalls: Sequence[float],
    ) -> Matched:
        """From faster-coco-eval's evaluations [K · A · I]; how many detections each class has in each image, and truths
        that count."""
        num_classes, num_areas, num_images = truths_KAI.shape
        classes = []
        for k in range(num_classes):
            images = np.flatnonzero(found_KI[k])
            first = [(k * num_areas + a) * num_images for a in range(num_areas)]
            areas = [[evaluations[start + image] for image in images.tolist()] for start in first]
            classes.append(_class(areas, images, truths_KAI[k], num_thresholds))
        return cls(classes, np.asarray(recalls), np.ones(num_images, dtype=bool))

    def figure(self, name: str) -> float:
        """NaN where there is no truth to find."""
        place = FIGURES[name]
        if place.kind == "recall":
            found = self._recall(place.area, place.most)
        else:
            if place.area not in self._precisions:
                self._precisions[place.area] = self._precision(place.area)
            found = self._precisions[place.area]
        if not found.size:
            return np.nan
        return float(np.mean((found if place.iou is None else found[place.iou]).reshape(-1)))

    def part(self, kept_I: np.ndarray) -> Matched:
        """The same of some images only."""
        return Matched(self._classes, self._recalls_R, kept_I)

    def _recall(self, area: int, most: int) -> np.ndarray:
        """[T, classes with truths], of the first `most` detections of an image."""
        found = [
            one.hit_ATD[area][:, self._kept_I[one.image_D] & (one.place_D < most)].sum(axis=1) / truths
            for one, truths in self._with_truths(area)
        ]
        return np.stack(found, axis=-1) if found else np.empty(0)

    def _precision(self, area: int) -> np.ndarray:
        """[T, R, classes with truths]: the best precision from each recall on, 0 where it is not reached."""
        found = []
        for one, truths in self._with_truths(area):
            kept_D = self._kept_I[one.image_D]
            hit_TD, rank_TD = one.hit_ATD[area][:, kept_D], one.counts_ATD[area][:, kept_D].cumsum(axis=1)
            before_R = np.searchsorted(np.arange(1, truths + 1) / truths, self._recalls_R)  # hits before that recall
            best_TR = np.zeros((len(hit_TD), before_R.size))
            for best_R, hit_D, rank_D in zip(best_TR, hit_TD, rank_TD, strict=True):
                ranks = rank_D[hit_D]
                best = np.maximum.accumulate((np.arange(1, ranks.size + 1) / ranks)[::-1])[::-1]
                reached = np.searchsorted(before_R, ranks.size)
                best_R[:reached] = best[before_R[:reached]]
            found.append(best_TR)
        return np.stack(found, axis=-1) if found else np.empty(0)

    def _with_truths(self, area: int) -> Iterator[tuple[_Class, int]]:
        for one in self._classes:
            if truths := int(one.truths_AI[area, self._kept_I].sum()):
                yield one, truths


class NothingDetected:
    """Nothing was found: 0 where there was something to find."""

    def __init__(self, truths_KAI: np.ndarray) -> None:
        self._there = truths_KAI.sum(axis=(0, 2)) > 0

    def figure(self, name: str) -> float:
        return 0.0 if self._there[FIGURES[name].area] else np.nan

    def part(self, kept_I: np.ndarray) -> NothingDetected:
        return self


def _class(areas: Sequence[Sequence[Any]], images: np.ndarray, truths_AI: np.ndarray, num_thresholds: int) -> _Class:
    """From the evaluations of the images with detections, area by area; each pickles as matches [T · D], matches of
    truths, scores [D], ignored truths, ignored detections [T · D] and pairs."""
    scores: list[float] = []
    sizes: list[int] = []
    hits: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    for area, evaluations in enumerate(areas):
        matches: list[int] = []
        ignored: list[bool] = []
        for one in evaluations:
            state = one.__getstate__()
            matches += state[0]
            ignored += state[4]
            if area == 0:
                scores += state[2]
                sizes.append(len(state[2]))
        hits.append(np.array(matches, dtype=np.int64) > 0)
        counts.append(np.logical_not(ignored))
    size_I = np.array(sizes, dtype=np.int64)
    first_I = np.cumsum(size_I) - size_I
    order = np.argsort(-np.array(scores), kind="stable")
    row_D = np.repeat(np.arange(size_I.size), size_I)[order]
    place_D = order - first_I[row_D]
    at_TD = num_thresholds * first_I[row_D] + place_D + np.arange(num_thresholds)[:, None] * size_I[row_D]
    counts_ATD: np.ndarray = np.stack(counts)[:, at_TD]
    return _Class(images[row_D], place_D, counts_ATD & np.stack(hits)[:, at_TD], counts_ATD, truths_AI)
