"""Sounds with their transcripts as what speech networks read and are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.metrics.text import transform
from raybench.models.configuration import open_config
from raybench.tasks.audio_inputs import Clips, prepare_clips
from raybench.tasks.rows import key_column, ragged, ragged_column
from raybench.tasks.speech_kinds import alphabet_of, kind_of, transcript_tokens
from raybench.tasks.task import Batch

if TYPE_CHECKING:
    import torch

__all__ = ["LetterClips", "Spelled", "WrittenClips", "prepare_speech"]


class Spelled(NamedTuple):
    """Letters of the transcripts one after the other, int64 [S], how many each example has, int64 [B], the blank."""

    letters: torch.Tensor
    lengths: torch.Tensor
    blank: int


def prepare_speech(rows: pa.Table, model: ModelSpec, settings: Any) -> pa.Table:
    """The rows of `prepare_clips` with `target_ids`, what a network is to put out: of one that writes the tokens of the
    transcript as it is, of others the letters of it as it is compared."""
    table, texts = prepare_clips(rows, model, settings.window_seconds), rows.column("text").to_pylist()
    if kind_of(model, open_config(model)) == "writer":
        ids = ragged_column(transcript_tokens(texts, model))
    else:
        alphabet = alphabet_of(model)
        ids = ragged_column([alphabet.encode(transform(text, settings.normalizer)) for text in texts])
    told = (np.array(one.as_py(), dtype=np.int32).tobytes() for one in ids)
    heard = table.column("key").to_pylist()
    keys = key_column(a + b for a, b in zip(heard, told, strict=True))
    return table.set_column(table.column_names.index("key"), "key", keys).append_column("target_ids", ids)


class _SpeechClips(Clips):
    def __init__(self, prepared: pa.Table, model: ModelSpec) -> None:
        super().__init__(prepared, model)
        self._targets = ragged(prepared, "target_ids")

    def _told(self, indices: np.ndarray) -> list[np.ndarray]:
        return [self._targets.row(index).astype(np.int64) for index in indices.tolist()]


class LetterClips(_SpeechClips):
    """For networks that put out letters at each position."""

    def __init__(self, prepared: pa.Table, model: ModelSpec) -> None:
        super().__init__(prepared, model)
        self._blank = alphabet_of(model).blank

    def units(self, indices: np.ndarray) -> int:
        """Letters."""
        return max(1, sum(map(len, self._told(indices))))

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """What `Clips.inputs` says; targets are `Spelled`."""
        import torch

        told = self._told(indices)
        letters = torch.from_numpy(np.concatenate(told)).to(device, non_blocking=True)
        lengths = torch.tensor([len(one) for one in told]).to(device, non_blocking=True)
        targets = Spelled(letters, lengths, self._blank)
        return Batch(self.inputs(indices, padded, device), targets, self.rows[indices].astype(np.int64))


class WrittenClips(_SpeechClips):
    """For networks that write."""

    def units(self, indices: np.ndarray) -> int:
        """Tokens of the examples that something is learned of: those of one window."""
        single = indices[self.rows[indices] == 1]
        return max(1, sum(map(len, self._told(single))))

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """What `Clips.inputs` says and labels int64 [B, T], −100 where a row has no more; targets are the labels that
        something is learned of, int64 [S]."""
        import torch

        from raybench.models.generation import IGNORED

        told = self._told(indices)
        labels = np.full((len(told), max(1, max(map(len, told), default=1))), IGNORED, dtype=np.int64)
        for row, own in enumerate(told):
            labels[row, : len(own)] = own
        single = self.rows[indices] == 1
        inputs = self.inputs(indices, padded, device)
        inputs["labels"] = torch.from_numpy(labels).to(device, non_blocking=True)
        targets = torch.from_numpy(labels[single][labels[single] != IGNORED]).to(device, non_blocking=True)
        return Batch(inputs, targets, self.rows[indices].astype(np.int64))
