"""A sound as some numbers: mean and spread of its mel spectrum over time, and of how that changes.

40 bands of mels (Stevens, Volkmann and Newman 1937, in Slaney's form) up to 8 kHz, their powers over 25 ms every 10 ms
as logarithms, at most 80 dB below the loudest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from raybench.core.sounds import read_sound

__all__ = ["NUM_STATISTICS", "mel_statistics"]

_RATE, _WINDOW, _HOP, _BANDS = 16_000, 400, 160, 40
_FLOOR, _RANGE = 1e-10, 8.0  # of powers; powers of ten below the loudest
NUM_STATISTICS = 3 * _BANDS


def mel_statistics(sounds: Sequence[bytes]) -> np.ndarray:
    """float64 [N, 120] of encoded sounds: means, standard deviations, mean changes from one time to the next."""
    return np.stack([_statistics(data) for data in sounds]) if sounds else np.zeros((0, NUM_STATISTICS))


def _statistics(data: bytes) -> np.ndarray:
    samples = read_sound(data, _RATE)
    samples = np.pad(samples, (0, max(0, _WINDOW + _HOP - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    window, filters = _analysis()
    powers = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 @ filters
    mels = np.log10(np.maximum(powers, _FLOOR))
    mels = np.maximum(mels, mels.max() - _RANGE)
    changes = np.abs(np.diff(mels, axis=0)).mean(axis=0)
    return np.concatenate([mels.mean(axis=0), mels.std(axis=0), changes])


@cache
def _analysis() -> tuple[np.ndarray, np.ndarray]:
    """Hann's window, and the filters [frequencies, bands]."""
    from transformers.audio_utils import mel_filter_bank

    bands = mel_filter_bank(
        num_frequency_bins=_WINDOW // 2 + 1,
        num_mel_filters=_BANDS,
        min_frequency=0.0,
        max_frequency=_RATE / 2,
        sampling_rate=_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    return np.hanning(_WINDOW + 1)[:-1], np.asarray(bands, dtype=np.float64)
