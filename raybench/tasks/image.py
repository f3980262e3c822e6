"""Images as what a pooled task reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.core.identity import content_hash
from raybench.models.configuration import pixel_channels, reads_both
from raybench.tasks.image_inputs import ImageExamples, image_format, model_images, raw_pictures
from raybench.tasks.pooled import PooledTask

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from raybench.tasks.task import Examples

__all__ = ["IMAGE_COLUMNS", "ImageTask", "image_key", "refuse_without_pictures"]

IMAGE_COLUMNS = (Column("image", "image"),)


class ImageTask(PooledTask):
    """Rows of pictures."""

    auto_class = "AutoModelForImageClassification"
    head_suffix = "ForImageClassification"

    def processor_key(self, model: ModelSpec) -> str:
        return image_key(model)

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.baseline is not None:
            return raw_pictures(rows)
        return model_images(rows, model)

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return ImageExamples(prepared, model, self.targets(prepared, dataset))

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        known = hasattr(config, "num_channels") or reads_both(config)
        if not known or hasattr(config, "vocab_size"):
            raise IncompatibleError(
                f"model {model.reference!r}: {config.model_type} reads no images; {self.name} needs a vision model"
            )
        refuse_channels(model, pixel_channels(config))


def image_key(model: ModelSpec) -> str:
    """What decides how a model's processor makes pixels of pictures; baselines have them as they are."""
    if model.baseline is not None:
        return "rows"
    wanted = image_format(model)
    return f"pixels:{content_hash([wanted.size, wanted.channels, wanted.patch, wanted.saved])}"


def refuse_channels(model: ModelSpec, num_channels: int) -> None:
    """IncompatibleError for what no picture has."""
    if num_channels not in (1, 3):
        raise IncompatibleError(
            f"model {model.reference!r}: reads {num_channels} channels; pictures here have 1 (grey) or 3"
        )


def refuse_without_pictures(model: ModelSpec, config: PretrainedConfig, task: str, mapping: str) -> None:
    """IncompatibleError for an architecture that is not in this mapping of transformers."""
    import transformers

    known = getattr(transformers, mapping)
    if type(config) not in known:
        some = "segformer, upernet, dpt" if "SEGMENTATION" in mapping else "detr, deformable_detr, rt_detr, yolos"
        raise IncompatibleError(
            f"model {model.reference!r}: transformers knows no {config.model_type} for {task}; {some} would do"
        )
    refuse_channels(model, pixel_channels(config))
