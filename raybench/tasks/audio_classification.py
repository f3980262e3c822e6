"""audio-classification: one label a sound."""

from __future__ import annotations

from raybench.core import Column
from raybench.tasks.audio import AUDIO_COLUMNS, AudioTask
from raybench.tasks.single_label import SingleLabel

__all__ = ["AudioClassification"]


class AudioClassification(AudioTask, SingleLabel):
    """Sounds → one label."""

    name = "audio-classification"
    columns = (*AUDIO_COLUMNS, Column("label", "label", role="target"))
