"""Sounds that are noisy, too loud for their microphone, or muffled; nothing in them moves, so a transcript holds.

    noise(samples_T, 0.1, 16_000, rng)

What is said or played stays as long; strengths mean the same for a sound of any loudness and rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pyarrow as pa

from raybench.core.sounds import read_sound, sound_shape, wav

__all__ = ["SOUNDS", "perturbed_sounds"]

Perturb = Callable[[np.ndarray, float, int, np.random.Generator], np.ndarray]

_HIGHEST = 16_000  # Hz: what a muffled sound keeps is told from here down, whatever more its rate could hold
_ORDER = 4  # of the filter


def perturbed_sounds(
    cells: pa.Array, perturb: Perturb, strength: float, rngs: Iterable[np.random.Generator]
) -> pa.Array:
    """A column of encoded sounds, each with its own draws, as wav of its rate and of one channel, which tasks hear.

    A sound that comes out as it was (silence) keeps its bytes.
    """
    rows = []
    for data, rng in zip(cells.to_pylist(), rngs, strict=True):
        rate = sound_shape(data).rate
        before = read_sound(data, rate)
        made = perturb(before.astype(np.float64), strength, rate, rng).astype(np.float32)
        rows.append(data if np.array_equal(made, before) else wav(made, rate))
    return pa.array(rows, cells.type)


def noise(samples: np.ndarray, strength: float, rate: int, rng: np.random.Generator) -> np.ndarray:
    """White noise, its deviation a share of the sound's own: 0.1 is 20 dB below it, 1 as loud as it."""
    return samples + rng.normal(0.0, strength * _loudness(samples), samples.shape)


def clipping(samples: np.ndarray, strength: float, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Cut off above a share of its peak, 1 − strength, and below it; nothing is left of it at strength 1."""
    most = (1 - strength) * float(np.abs(samples).max(initial=0.0))
    return np.clip(samples, -most, most)


def muffle(samples: np.ndarray, strength: float, rate: int, rng: np.random.Generator) -> np.ndarray:
    """The upper share of what is heard (to 16 kHz or half the rate) taken out, by a Butterworth filter both ways."""
    from scipy.signal import butter, sosfiltfilt

    half = rate / 2
    cut = (1 - strength) * min(half, _HIGHEST)
    if cut >= half or samples.size <= 6 * _ORDER:  # too short to be filtered
        return samples
    return np.asarray(sosfiltfilt(butter(_ORDER, max(cut / half, 1e-3), output="sos"), samples))


SOUNDS: Mapping[str, Perturb] = {"noise": noise, "clipping": clipping, "muffle": muffle}


def _loudness(samples: np.ndarray) -> float:
    """The root of the mean square around the mean."""
    return float(samples.std()) if samples.size else 0.0
