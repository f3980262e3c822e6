"""Sounds as windows of what a model reads: encoded bytes travel, and a batch decodes its own.

A prepared row holds the bytes, and in `starts` where its windows begin, in samples at the model's rate. `length` is
that of the longest window in fiftieths of a second, about the positions of most models; windows that a model fills up
to a fixed size are all of one length.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.errors import DataError
from raybench.core.identity import content_hash
from raybench.core.sounds import read_sound, sound_shape
from raybench.models.audio_processor import open_audio_processor
from raybench.models.quiet import quiet
from raybench.tasks.audio_windows import quiet_cuts
from raybench.tasks.rows import cell_keys, input_keys, ragged, ragged_column, single_chunk

if TYPE_CHECKING:
    import torch

    from raybench.models.audio_processor import AudioProcessor

__all__ = ["Clips", "plain_clips", "prepare_clips", "sound_key"]

_UNITS = 50  # a second
_FIXED_LENGTH = 256  # of a window that is filled up: sixteen are a batch, for decoders want wide ones
_KEPT_BYTES = 256 << 20  # of decoded sounds that an object keeps for the next epoch


def sound_key(model: ModelSpec, window_seconds: float) -> str:
    """What decides the windows of a sound and what a model reads of them; a baseline reads the raw rows."""
    if model.baseline is not None:
        return "rows"
    return f"sounds:{window_seconds}:{content_hash(open_audio_processor(model).settings)}"


def plain_clips(rows: pa.Table) -> pa.Table:
    """Rows as baselines read them: with the encoded bytes, `length` 1 and `key`."""
    lengths = pa.array(np.ones(rows.num_rows, dtype=np.int32))
    keys = cell_keys(rows, ["audio"])
    return rows.append_column("length", lengths).append_column("key", keys)


def prepare_clips(rows: pa.Table, model: ModelSpec, window_seconds: float) -> pa.Table:
    """The rows with `starts`, `rows` (windows of each), `length` and `key`."""
    processor = open_audio_processor(model)
    longest = _longest(processor, window_seconds)
    starts, lengths = [], []
    for name, data in zip(rows.column("id").to_pylist(), (cell.as_py() for cell in rows.column("audio")), strict=True):
        try:
            count = sound_shape(data).at(processor.rate)
            begins = [0] if count <= longest else quiet_cuts(read_sound(data, processor.rate), longest, processor.rate)
        except DataError as error:
            raise DataError(f"row {name}: {error}") from None
        starts.append(begins)
        most = max(after - before for before, after in itertools.pairwise([*begins, count]))
        lengths.append(_FIXED_LENGTH if processor.fixed else max(1, -(-most * _UNITS // processor.rate)))
    columns = {
        "starts": ragged_column(starts),
        "rows": pa.array([len(one) for one in starts], pa.int32()),
        "length": pa.array(lengths, pa.int32()),
        "key": cell_keys(rows, ["audio"]),
    }
    return pa.table({**{name: rows.column(name) for name in rows.column_names}, **columns})


def _longest(processor: AudioProcessor, window_seconds: float) -> int:
    """Samples of a window at most."""
    asked = max(1, int(window_seconds * processor.rate))
    return asked if processor.window is None else min(asked, processor.window)


class Clips:
    """Prepared sounds; decoded, and read by the model's own feature extractor, when a batch asks for them."""

    def __init__(self, prepared: pa.Table, model: ModelSpec) -> None:
        self.processor = open_audio_processor(model)
        self.rows = single_chunk(prepared, "rows").to_numpy()
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.keys = input_keys(prepared)
        self._data = prepared.column("audio")
        self._starts = ragged(prepared, "starts")
        self._kept: dict[int, list[tuple[np.ndarray, int]]] = {}
        self._room = _KEPT_BYTES

    def __len__(self) -> int:
        return len(self.lengths)

    def inputs(self, indices: np.ndarray, padded: int, device: torch.device) -> dict[str, torch.Tensor]:
        """features float32 [R, …], sizes int64 [R]; counts int64 [B] of windows, on the host.

        Windows of one size as the model has them, others [R, steps, …] with zeros behind their own.
        """
        import torch

        with quiet():
            windows = [window for index in indices.tolist() for window in self._windows(index)]
        sizes = np.array([size for _, size in windows], dtype=np.int64)
        if self.processor.fixed:
            features = np.stack([values for values, _ in windows])
        else:
            steps = max(-(-padded * self.processor.steps_a_second // _UNITS) + 2, int(sizes.max()))
            features = np.zeros((len(windows), steps, *windows[0][0].shape[1:]), dtype=np.float32)
            for row, (values, size) in enumerate(windows):
                features[row, :size] = values
        return {
            "features": torch.from_numpy(features).to(device, non_blocking=True),
            "sizes": torch.from_numpy(sizes).to(device, non_blocking=True),
            "counts": torch.from_numpy(self.rows[indices].astype(np.int64)),
        }

    def _windows(self, index: int) -> list[tuple[np.ndarray, int]]:
        """What the model reads of each window of a sound, and how many steps are the window's own."""
        if (found := self._kept.get(index)) is not None:
            return found
        samples = read_sound(self._data[index].as_py(), self.processor.rate)
        bounds = [*self._starts.row(index).tolist(), len(samples)]
        made = [self._window(samples[start:stop]) for start, stop in itertools.pairwise(bounds)]
        taken = sum(values.nbytes for values, _ in made)
        if taken <= self._room:
            self._room -= taken
            self._kept[index] = made
        return made

    def _window(self, samples: np.ndarray) -> tuple[np.ndarray, int]:
        values = self.processor.features(samples)
        if not self.processor.fixed:
            return values, len(values)
        assert self.processor.window is not None
        return values, max(1, -(-len(samples) * values.shape[-1] // self.processor.window))
