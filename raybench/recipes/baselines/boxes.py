"""`mean-boxes`: in every picture the mean box of each class, as sure as the class is common."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.tasks.catalog import task_of
from raybench.tasks.object_detection import Detections, corners_of, raw_sizes
from raybench.tasks.rows import ragged

__all__ = ["MeanBoxes"]


class MeanBoxes:
    """Boxes in widths and heights of their picture; a class's score is the share of training pictures that have it."""

    tasks = ("object-detection",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        sums, counts = np.zeros((len(dataset.labels), 4)), np.zeros(len(dataset.labels))
        having = np.zeros(len(dataset.labels))
        labels, crowd, sizes = ragged(rows, "labels"), ragged(rows, "crowd"), raw_sizes(rows)
        box_format = task_of(dataset).settings.box_format
        for place in range(rows.num_rows):
            alone = crowd.row(place) == 0
            own = labels.row(place)[alone]
            np.add.at(sums, own, corners_of(rows, place, box_format)[alone] / np.tile(sizes[place][::-1], 2))
            np.add.at(counts, own, 1)
            having[np.unique(own)] += 1
        there = np.flatnonzero(counts)
        order = there[np.argsort(-having[there], kind="stable")]
        return {
            "boxes": sums[order] / counts[order, None],
            "labels": order.astype(np.int32),
            "scores": having[order] / max(1, rows.num_rows),
        }

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> list[Detections]:
        labels, scores = arrays["labels"].astype(np.int64), arrays["scores"]
        return [Detections(arrays["boxes"] * np.tile(size[::-1], 2), labels, scores) for size in raw_sizes(rows)]
