"""semantic-segmentation: a class for each pixel of a picture.

Shapes: B pictures of one size, C classes, H and W pixels of the raw picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import DataError
from raybench.core.pictures import picture_sizes
from raybench.tasks.head_labels import order_of_labels
from raybench.tasks.image import IMAGE_COLUMNS, image_key, refuse_without_pictures
from raybench.tasks.image_inputs import raw_pictures
from raybench.tasks.pixel_classes import (
    IGNORED,
    best_classes,
    class_of_number,
    mask_array,
    pixel_counts,
    resized_mask,
)
from raybench.tasks.rows import record_columns
from raybench.tasks.sized_pictures import SizedPictures, sized_pictures
from raybench.tasks.task import Batch, LossOptions, Task, TaskOptions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["SemanticSegmentation", "SemanticSegmentationOptions"]

_HEAD = "ForSemanticSegmentation"
_COUNTS = ("intersection", "predicted_pixels", "target_pixels")


class SemanticSegmentationOptions(TaskOptions):
    """What the numbers in a mask mean."""

    labels: tuple[str, ...] = Field(
        default=(),
        description="names of the classes 0, 1, … of masks; left out: their numbers, up to the largest",
    )
    ignore_index: int = Field(default=IGNORED, ge=0, le=255, description="pixels of this number count nowhere")
    reduce_labels: bool = Field(default=False, description="0 is ignored too, and 1 is the first class (ADE20k's)")


class Masks(NamedTuple):
    """Of the batch's pictures: their places by group of one size, and raw masks, uint8 [H, W]."""

    places: list[np.ndarray]
    masks: list[np.ndarray]


class SemanticSegmentation(Task):
    """Pictures → a class a pixel."""

    name = "semantic-segmentation"
    columns = (*IMAGE_COLUMNS, Column("mask", "mask", role="target"))
    metrics = ("mean_iou", "dice", "pixel_accuracy")
    primary = "mean_iou"
    options = SemanticSegmentationOptions

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        counts = pa.list_(pa.int64(), len(labels))
        return pa.schema({"id": pa.string(), **dict.fromkeys(_COUNTS, counts)})

    @property
    def classes(self) -> np.ndarray:
        """uint8 [256]: the class of each number of a mask."""
        return class_of_number(self.settings.ignore_index, reduce_labels=self.settings.reduce_labels)

    def label_names(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        given: tuple[str, ...] = self.settings.labels
        largest = -1
        for split, rows in splits.items():
            cells = zip(
                rows.column("id").to_pylist(),
                picture_sizes(rows).tolist(),
                rows.column("mask").to_pylist(),
                strict=True,
            )
            for name, size, cell in cells:
                where = f"split {split!r}: the mask of row {name!r}"
                if [cell["height"], cell["width"]] != size:
                    told = f"{cell['height']} × {cell['width']} and its picture {size[0]} × {size[1]}"
                    raise DataError(f"{where} is {told}", key=("columns", "mask"))
                numbers = np.bincount(np.frombuffer(cell["data"], np.uint8), minlength=256) > 0
                found = self.classes[numbers].astype(int)
                largest = max(largest, int(found[found != IGNORED].max(initial=-1)))
                if given and largest >= len(given):
                    number = int(np.flatnonzero(self.classes == largest)[0])
                    raise DataError(
                        f"{where} holds {number}; task_config.labels names {len(given)} classes, the last of them "
                        f"{int(np.flatnonzero(self.classes == len(given) - 1)[0])}",
                        key=("task_config", "labels"),
                    )
        return given or tuple(map(str, range(largest + 1)))

    def check_labels(self, labels: Sequence[str]) -> str | None:
        if len(labels) < 2:
            return "every pixel is of one class, so nothing is to be told apart"
        return None

    def metric_config(self, labels: Sequence[str], task_config: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().metric_config(labels, task_config), "labels": list(labels)}

    # --- rows

    def processor_key(self, model: ModelSpec) -> str:
        return f"whole {image_key(model)}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        return raw_pictures(rows) if model.baseline is not None else sized_pictures(rows, model)

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return MaskedExamples(prepared, model, self.classes)

    # --- networks

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        refuse_without_pictures(model, config, self.name, "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING")

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> tuple[int, ...]:
        return order_of_labels(model, labels, _HEAD)

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.picture_heads import PixelNetwork, open_picture_network

        own = own_head and self.has_own_head(model, dataset.labels)
        order = self.check_own_head(model, dataset.labels) if own else None
        return open_picture_network(PixelNetwork, model, len(dataset.labels), seed, order=order)

    def loss(self, outputs: Any, batch: Batch, options: LossOptions) -> torch.Tensor:
        """Cross-entropy summed over the pixels that count, at the size of the network's input."""
        import torch
        from torch.nn.functional import cross_entropy, interpolate

        terms = []
        for logits_BChw, pixels, places in zip(outputs, batch.inputs["pictures"], batch.targets.places, strict=True):
            size = (pixels.shape[2], pixels.shape[3])
            masks = np.stack([resized_mask(batch.targets.masks[place], size) for place in places])
            target_BHW = torch.from_numpy(masks).to(pixels.device, torch.int64)
            logits_BCHW = interpolate(logits_BChw, size=size, mode="bilinear", align_corners=False)
            terms.append(
                cross_entropy(
                    logits_BCHW,
                    target_BHW,
                    ignore_index=IGNORED,
                    label_smoothing=options.label_smoothing,
                    reduction="sum",
                )
            )
        return torch.stack(terms).sum()

    def predict(self, network: Network, batch: Batch) -> list[np.ndarray]:
        """Of each picture pixels by class, int64 [3, C] as `pixel_counts`; the masks themselves are let go."""
        import torch

        masks, counts = batch.targets.masks, [np.zeros(0)] * len(batch.targets.masks)
        for logits_BChw, places in zip(network(batch.inputs), batch.targets.places, strict=True):
            for logits_Chw, place in zip(logits_BChw, places.tolist(), strict=True):
                best_HW = best_classes(logits_Chw, masks[place].shape)
                target_HW = torch.from_numpy(masks[place]).to(best_HW.device)
                counts[place] = pixel_counts(best_HW, target_HW, len(logits_Chw))
        return counts

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        counts = np.stack(predictions) if len(predictions) else np.zeros((0, 3, len(dataset.labels)), np.int64)
        return record_columns(rows, None, {name: counts[:, place] for place, name in enumerate(_COUNTS)})


class MaskedExamples(SizedPictures):
    """Pictures with their masks."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, classes: np.ndarray) -> None:
        super().__init__(prepared, model)
        self._masks, self._classes = prepared.column("mask"), classes
        self._counted: dict[int, int] = {}  # pixels that count at the network's size, by row

    def mask(self, index: int) -> np.ndarray:
        """uint8 [H, W] of classes."""
        return mask_array(self._masks[index].as_py(), self._classes)

    def units(self, indices: np.ndarray) -> int:
        """Pixels that count; at least 1, for a loss is divided by it."""
        for index in indices.tolist():
            if index not in self._counted:
                height, width = self.sizes[index].tolist()
                self._counted[index] = int((resized_mask(self.mask(index), (height, width)) != IGNORED).sum())
        return max(1, sum(self._counted[index] for index in indices.tolist()))

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        groups = self.groups(indices, device)
        masks = [self.mask(index) for index in indices.tolist()]
        return Batch({"pictures": [g.pixels for g in groups]}, Masks([g.places for g in groups], masks))
