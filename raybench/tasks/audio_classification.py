"""audio-classification: one label a sound."""

from __future__ import annotations

from raybench.core import Column
from raybench.tasks.audio import AUDIO_COLUMNS, AudioTask, SoundOptions
from raybench.tasks.single_label import SingleLabel
from raybench.tasks.threshold import ThresholdOptions

__all__ = ["AudioClassification"]


class AudioClassificationOptions(SoundOptions, ThresholdOptions):
    """Those of sounds and that of two labels."""


class AudioClassification(AudioTask, SingleLabel):
    """Sounds → one label."""

    name = "audio-classification"
    options = AudioClassificationOptions
    columns = (*AUDIO_COLUMNS, Column("label", "label", role="target"))
