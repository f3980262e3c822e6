"""Backbones this process has open: read-only, shared by every trial of the same weights.

Whoever trains a backbone's parameters copies it first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

__all__ = ["BACKBONES", "ProcessCache"]

T = TypeVar("T")


class ProcessCache:
    """The last `size` values, by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[str, object] = OrderedDict()

    def get(self, key: str, make: Callable[[], T]) -> T:
        """The value under `key`, made when it is not there; the least recently used goes first."""
        if key not in self._values:
            while len(self._values) >= self._size:
                self._values.popitem(last=False)
            self._values[key] = make()
        self._values.move_to_end(key)
        return self._values[key]  # type: ignore[return-value]

    def drop(self, key: str) -> None:
        """Let go of a value that nobody will ask for."""
        self._values.pop(key, None)

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        self._values.clear()


BACKBONES = ProcessCache(3)
