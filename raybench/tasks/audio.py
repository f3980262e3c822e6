"""Sounds as what a pooled task reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pydantic import Field

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import open_config
from raybench.tasks.audio_inputs import Clips, plain_clips, prepare_clips, sound_key
from raybench.tasks.pooled import PooledTask
from raybench.tasks.rows import target_tensor
from raybench.tasks.task import Batch, TaskOptions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["AUDIO_COLUMNS", "AudioTask", "SoundOptions", "refuse_without_ears"]

AUDIO_COLUMNS = (Column("audio", "audio"),)


class SoundOptions(TaskOptions):
    """How a long sound is cut into windows.

    A model that reads a fixed size (Whisper 30 seconds, AST 10) has windows of that size at most.
    """

    window_seconds: float = Field(
        default=30.0, ge=1, description="longer sounds are read in windows of at most so much, cut where it is quiet"
    )


class AudioTask(PooledTask):
    """Rows of sounds."""

    auto_class = "AutoModelForAudioClassification"
    head_suffix = ("ForSequenceClassification", "ForAudioClassification")
    options = SoundOptions

    def processor_key(self, model: ModelSpec) -> str:
        return sound_key(model, self.settings.window_seconds)

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.baseline is not None:
            return plain_clips(rows)
        return prepare_clips(rows, model, self.settings.window_seconds)

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return _LabelledClips(prepared, model, self.targets(prepared, dataset))

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        refuse_without_ears(model, config, self.name)

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        import transformers

        from raybench.models.audio import SoundClassifier, SoundPooledNetwork
        from raybench.models.audio_backbone import open_ears, without_augmentation
        from raybench.models.audio_processor import open_audio_processor
        from raybench.models.backbone import open_pretrained
        from raybench.models.pooling import pooling_of

        processor = open_audio_processor(model)
        if own_head and self.has_own_head(model, dataset.labels):
            order = self.check_own_head(model, dataset.labels)
            auto = getattr(transformers, self.auto_class)
            opened = open_pretrained(auto, model, open_config(model), seed).eval()
            return SoundClassifier(without_augmentation(opened), processor, order)
        backbone = open_ears(model, seed)
        outputs = self.num_outputs(dataset)
        return SoundPooledNetwork(backbone, processor, pooling_of(model), num_outputs=outputs, seed=seed)


class _LabelledClips(Clips):
    def __init__(self, prepared: pa.Table, model: ModelSpec, targets: np.ndarray) -> None:
        super().__init__(prepared, model)
        self.targets = targets

    def units(self, indices: np.ndarray) -> int:
        return len(indices)

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """What `inputs` says, targets [B]."""
        targets = target_tensor(self.targets[indices], device)
        return Batch(self.inputs(indices, padded, device), targets, self.rows[indices].astype(np.int64))


def refuse_without_ears(model: ModelSpec, config: PretrainedConfig, task: str) -> None:
    """IncompatibleError for a model that reads no sounds, or is asked to read more than that."""
    from raybench.models.audio_processor import open_audio_processor, reads_sound

    if not reads_sound(config):
        raise IncompatibleError(
            f"model {model.reference!r}: {config.model_type} reads no sounds; {task} needs an audio model"
        )
    if model.instruction:
        raise IncompatibleError(f"model {model.reference!r}: a sound has no place for an instruction; leave it out")
    open_audio_processor(model)
