"""object-detection: boxes of a picture's objects, each with a label and a score.

Shapes: n objects or detections of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import DataError, IncompatibleError
from raybench.core.pictures import picture_sizes
from raybench.metrics.detection import FIGURES
from raybench.models.detections import check_detections, detection_processing
from raybench.tasks.head_labels import order_of_labels
from raybench.tasks.image import IMAGE_COLUMNS, image_key, refuse_without_pictures
from raybench.tasks.image_inputs import raw_pictures
from raybench.tasks.rows import ragged, single_chunk
from raybench.tasks.sized_pictures import SizedPictures, sized_pictures
from raybench.tasks.task import Batch, LossOptions, Task, TaskOptions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["Detections", "ObjectDetection", "ObjectDetectionOptions", "corners_of", "raw_sizes"]

_HEAD = "ForObjectDetection"


class ObjectDetectionOptions(TaskOptions):
    """How boxes are written, and which detections are kept."""

    box_format: Literal["xywh", "xyxy"] = Field(
        default="xywh",
        description="of the data, in pixels: left, top, width, height as COCO's, or left, top, right, bottom",
    )
    threshold: float = Field(default=0.0, ge=0, lt=1, description="detections of lower scores are left out")
    max_detections: int = Field(default=100, ge=1, description="of a picture, those of the highest scores")


class Detections(NamedTuple):
    """Of a picture, best first: left, top, right, bottom in pixels of it as it is [n, 4], labels [n], scores [n]."""

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


class ObjectDetection(Task):
    """Pictures → boxes with labels."""

    name = "object-detection"
    columns = (*IMAGE_COLUMNS, Column("objects", "objects", role="target"))
    metrics = tuple(f"coco_{figure}" for figure in FIGURES)
    primary = "coco_ap"
    options = ObjectDetectionOptions

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        numbers, classes = pa.list_(pa.float64()), pa.list_(pa.int32())
        return pa.schema(
            {
                "id": pa.string(),
                "truth_boxes": numbers,
                "truth_labels": classes,
                "truth_areas": numbers,
                "truth_crowd": pa.list_(pa.int8()),
                "boxes": numbers,
                "labels": classes,
                "box_scores": numbers,
            }
        )

    def review(self, splits: Any, labels: Sequence[str]) -> tuple[str, ...]:
        notes = []
        for split, rows in splits.items():
            sizes = raw_sizes(rows)
            outside, empty = 0, 0
            for place, name in enumerate(rows.column("id").to_pylist()):
                corners = corners_of(rows, place, self.settings.box_format)
                empty += not len(corners)
                if (corners[:, 2:] < corners[:, :2]).any():
                    raise DataError(
                        f"split {split!r}: row {name!r} has a box of negative size; task_config: {{box_format: xyxy}} "
                        "is for left, top, right, bottom",
                        key=("columns", "objects"),
                    )
                height, width = sizes[place]
                outside += bool((corners < -1).any() or (corners > np.array([width, height, width, height]) + 1).any())
            if outside:
                notes.append(
                    f"boxes of {outside} of {rows.num_rows} {split} pictures reach beyond their picture; is "
                    f"box_format {self.settings.box_format} right?"
                )
            if empty:
                notes.append(f"{empty} of {rows.num_rows} {split} pictures have no object")
        return tuple(notes)

    def check_labels(self, labels: Sequence[str]) -> str | None:
        return None if labels else "no picture has an object"

    # --- rows

    def processor_key(self, model: ModelSpec) -> str:
        return f"whole {image_key(model)}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        sizes = raw_sizes(rows)
        for name, values in (("height", sizes[:, 0]), ("width", sizes[:, 1])):
            rows = rows.append_column(name, pa.array(values, pa.int32()))
        return raw_pictures(rows) if model.baseline is not None else sized_pictures(rows, model)

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return BoxedExamples(prepared, model, self.settings.box_format)

    # --- networks

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        refuse_without_pictures(model, config, self.name, "MODEL_FOR_OBJECT_DETECTION_MAPPING")
        check_detections(model)

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> tuple[int, ...]:
        return order_of_labels(model, labels, _HEAD)

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.picture_heads import BoxNetwork, open_picture_network

        own = own_head and self.has_own_head(model, dataset.labels)
        order = self.check_own_head(model, dataset.labels) if own else None
        network = open_picture_network(BoxNetwork, model, len(dataset.labels), seed, order=order)
        network.detections = detection_processing(model)
        return network

    def loss(self, outputs: Any, batch: Batch, options: LossOptions) -> torch.Tensor:
        """The model's own loss of each group, which is a mean over the group's objects, by their number."""
        import torch

        if options.label_smoothing:
            raise IncompatibleError(f"label_smoothing: the loss of {self.name} is the model's own; leave it out")
        numbers = [sum(len(one["class_labels"]) for one in labels) for labels in batch.inputs["labels"]]
        return torch.stack([one.loss.float() * max(1, n) for one, n in zip(outputs, numbers, strict=True)]).sum()

    def predict(self, network: Network, batch: Batch) -> list[Detections]:
        boxes: Any = network
        found: list[Any] = [None] * len(batch.targets.sizes)
        for pictures, places in zip(batch.inputs["pictures"], batch.targets.places, strict=True):
            outputs = boxes.outputs(pictures)
            sizes = [tuple(batch.targets.sizes[place].tolist()) for place in places]
            told = boxes.detections(outputs, threshold=self.settings.threshold, target_sizes=sizes)
            for place, one in zip(places.tolist(), told, strict=True):
                found[place] = self._kept(one, boxes.order)
        return found

    def _kept(self, told: dict[str, torch.Tensor], order: Sequence[int] | None) -> Detections:
        """The best of a picture's detections that are of the dataset's labels; what is no number is left out."""
        boxes, labels, scores = (told[name].float().cpu().numpy() for name in ("boxes", "labels", "scores"))
        labels = labels.astype(np.int64)
        if order is not None:
            label_of = {own: label for label, own in enumerate(order)}
            labels = np.array([label_of.get(own, -1) for own in labels.tolist()], dtype=np.int64)
        usable = (labels >= 0) & np.isfinite(scores) & np.isfinite(boxes).all(axis=1)
        kept = np.flatnonzero(usable)
        kept = kept[np.argsort(-scores[kept], kind="stable")[: self.settings.max_detections]]
        return Detections(boxes[kept], labels[kept], scores[kept])

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        schema = self.record_schema(dataset.labels)
        corners = [corners_of(rows, place, self.settings.box_format) for place in range(rows.num_rows)]
        truths = [_origin_and_size(one) for one in corners]
        areas = [
            np.where(given < 0, boxes[:, 2] * boxes[:, 3], given)
            for given, boxes in zip((ragged(rows, "areas").row(i) for i in range(rows.num_rows)), truths, strict=True)
        ]
        found = [_origin_and_size(np.asarray(one.boxes, dtype=np.float64)) for one in predictions]
        columns = {
            "truth_boxes": [boxes.ravel() for boxes in truths],
            "truth_areas": areas,
            "boxes": [boxes.ravel() for boxes in found],
            "labels": [one.labels for one in predictions],
            "box_scores": [one.scores.astype(np.float64) for one in predictions],
        }
        arrays = {
            name: pa.array([row.tolist() for row in values], schema.field(name).type)
            for name, values in columns.items()
        }
        arrays["id"] = rows.column("id").combine_chunks()
        arrays["truth_labels"] = rows.column("labels").combine_chunks().cast(schema.field("truth_labels").type)
        arrays["truth_crowd"] = rows.column("crowd").combine_chunks().cast(schema.field("truth_crowd").type)
        return pa.table([arrays[name] for name in schema.names], schema=schema)


def raw_sizes(rows: pa.Table) -> np.ndarray:
    """int64 [N, 2]: height and width of the raw pictures."""
    if "height" in rows.column_names:
        sides = [rows.column(name).to_numpy() for name in ("height", "width")]
    else:
        return picture_sizes(rows)
    return np.stack(sides, axis=1).astype(np.int64)


def corners_of(rows: pa.Table, place: int, box_format: str) -> np.ndarray:
    """float64 [n, 4]: left, top, right, bottom of a row's objects."""
    boxes = np.array(rows.column("boxes")[place].as_py(), dtype=np.float64).reshape(-1, 4)
    if box_format == "xywh":
        boxes[:, 2:] += boxes[:, :2]
    return boxes


def _origin_and_size(corners: np.ndarray) -> np.ndarray:
    """Left, top, width, height of left, top, right, bottom; what ends before it begins has no size."""
    return np.concatenate([corners[:, :2], np.maximum(corners[:, 2:] - corners[:, :2], 0)], axis=1)


class Places(NamedTuple):
    """Of the batch's pictures: their places by group of one size, and their raw sizes [B, 2]."""

    places: list[np.ndarray]
    sizes: np.ndarray


class BoxedExamples(SizedPictures):
    """Pictures with what is to be found in them: objects that are no crowds, as far as they lie inside the picture."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, box_format: str) -> None:
        super().__init__(prepared, model)
        self._raw = raw_sizes(prepared)
        labels, crowd = single_chunk(prepared, "labels"), ragged(prepared, "crowd")
        self._objects: list[tuple[np.ndarray, np.ndarray]] = []
        for place in range(prepared.num_rows):
            boxes = corners_of(prepared, place, box_format) / np.tile(self._raw[place][::-1], 2)
            boxes = boxes.clip(0, 1)
            kept = (crowd.row(place) == 0) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
            boxes = boxes[kept]
            centred = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
            self._objects.append((np.array(labels[place].as_py(), dtype=np.int64)[kept], centred.astype(np.float32)))

    def units(self, indices: np.ndarray) -> int:
        """Objects; at least 1, for a loss is divided by it."""
        return max(1, sum(len(self._objects[index][0]) for index in indices.tolist()))

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        import torch

        groups = self.groups(indices, device)
        labels = [
            [
                {
                    "class_labels": torch.from_numpy(self._objects[index][0]).to(device),
                    "boxes": torch.from_numpy(self._objects[index][1]).to(device),
                }
                for index in indices[group.places].tolist()
            ]
            for group in groups
        ]
        targets = Places([group.places for group in groups], self._raw[indices])
        return Batch({"pictures": [group.pixels for group in groups], "labels": labels}, targets)
