"""image-classification: one label a picture, by a head, or untrained by what a label is called (CLIP, SigLIP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import from_scratch, open_config, reads_both
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.augmentation import AugmentOptions
from raybench.tasks.image import IMAGE_COLUMNS, ImageTask
from raybench.tasks.single_label import SingleLabel
from raybench.tasks.threshold import ThresholdOptions

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["ImageClassification", "ImageClassificationOptions"]


class ImageClassificationOptions(AugmentOptions, ThresholdOptions):
    """Models that read texts too need no head: they are asked in words."""

    prompts: tuple[str, ...] = Field(
        default=("This is a photo of {label}.",),
        min_length=1,
        description="what models that read texts too are asked of each label; of several the embeddings are averaged",
    )
    verbaliser: Mapping[str, str] = Field(
        default_factory=dict, description="label → how it is called there, where its name says little"
    )

    @field_validator("prompts")
    @classmethod
    def _with_label(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        for prompt in prompts:
            if "{label}" not in prompt:
                raise ValueError(f"{prompt!r} has no {{label}}")
        return prompts


class ImageClassification(ImageTask, SingleLabel):
    """Image rows → one label."""

    name = "image-classification"
    columns = (*IMAGE_COLUMNS, Column("label", "label", role="target"))
    options = ImageClassificationOptions

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> tuple[int, ...]:
        if not reads_both(open_config(model)):
            return super().check_own_head(model, labels)
        if from_scratch(model):
            raise IncompatibleError(f"model {model.reference!r}: random weights know no words; use a method that fits")
        open_tokenizer(model)
        return tuple(range(len(labels)))

    def own_network(self, model: ModelSpec, order: tuple[int, ...], dataset: DatasetKey, seed: int) -> Network:
        if not reads_both(open_config(model)):
            return super().own_network(model, order, dataset, seed)
        from raybench.models.image_text import open_prompted

        called = [self.settings.verbaliser.get(label, label) for label in dataset.labels]
        prompts = [[prompt.replace("{label}", name) for prompt in self.settings.prompts] for name in called]
        return open_prompted(model, prompts, seed)
