"""Features by row, in memory, for one network that never changes.

The key of a row is the hash of its input and the length it was padded to; the key of a cache is the network.
"""

from __future__ import annotations

import numpy as np

from raybench.models.cache import ProcessCache

__all__ = ["FEATURES", "FeatureCache"]


class FeatureCache:
    """Row keys → places in a growing array."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, bytes], int] = {}
        self._values = np.zeros((0, 0), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._places)

    def has(self, padded: int, key: bytes) -> bool:
        return (padded, key) in self._places

    def put(self, padded: int, keys: list[bytes], features: np.ndarray) -> None:
        """Keep float32 [K, H] under K new keys."""
        used = len(self._places)
        if used + len(keys) > len(self._values):
            grown = np.empty((max(256, 2 * (used + len(keys))), features.shape[1]), dtype=np.float32)
            if used:
                grown[:used] = self._values[:used]
            self._values = grown
        for key in keys:
            self._places[padded, key] = len(self._places)
        self._values[used : used + len(keys)] = features

    def get(self, padded: int, keys: list[bytes]) -> np.ndarray:
        """float32 [B, H]; every key must be there."""
        return self._values[[self._places[padded, key] for key in keys]]


FEATURES = ProcessCache(8)
