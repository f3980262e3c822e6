"""Values kept by key while they fit into a number of bytes; the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Kept"]

T = TypeVar("T")


class Kept(Generic[T]):
    """Both are asked at every look-up: a value may grow, and no device is touched before. What was asked for stays."""

    def __init__(self, most_bytes: Callable[[], int], size_of: Callable[[T], int]) -> None:
        self._most_bytes, self._size_of = most_bytes, size_of
        self._values: OrderedDict[str, T] = OrderedDict()

    def get(self, key: str, make: Callable[[], T]) -> T:
        """The value under `key`, made when it is not there."""
        if key not in self._values:
            self._shrink(keep=0)  # room for what is made, which may be as large as any
            self._values[key] = make()
        self._values.move_to_end(key)
        self._shrink(keep=1)
        return self._values[key]

    def _shrink(self, *, keep: int) -> None:
        sizes = [self._size_of(value) for value in self._values.values()]
        while len(sizes) > keep and sum(sizes) > self._most_bytes():
            self._values.popitem(last=False)
            del sizes[0]

    def drop(self, key: str) -> None:
        """Forget a value, if it is there."""
        self._values.pop(key, None)

    def clear(self) -> None:
        self._values.clear()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: str) -> bool:
        return key in self._values
