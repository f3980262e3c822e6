"""Where a sound that is longer than a window is cut: where it is quiet, so that no word is parted.

quiet_cuts(samples, longest=480_000, rate=16_000)     # [0, 431_200, …]: where windows begin
"""

from __future__ import annotations

import numpy as np

__all__ = ["quiet_cuts"]

_STEP = 0.02  # seconds over which loudness is measured
_PAUSE = 10  # of these in a row are a pause
_LAST = 4  # a window ends in its last fourth part


def quiet_cuts(samples: np.ndarray, longest: int, rate: int) -> list[int]:
    """Where the windows of samples [T] begin, from 0; each is of at most `longest` samples and ends at the next.

    A window ends in the middle of the quietest fifth of a second of its last quarter, the later one of equals.
    """
    step = max(1, int(_STEP * rate))
    starts = [0]
    while len(samples) - starts[-1] > longest:
        room = max(1, longest // _LAST)
        first = starts[-1] + longest - room
        within = samples[first : starts[-1] + longest].astype(np.float64)
        count = max(1, len(within) // step)
        loudness = np.add.reduceat(within**2, np.arange(count) * step)
        pause = min(_PAUSE, count)
        runs = np.convolve(loudness, np.ones(pause), mode="valid")
        quietest = len(runs) - 1 - int(np.argmin(runs[::-1]))
        starts.append(first + min(room, max(1, quietest * step + pause * step // 2)))
    return starts
