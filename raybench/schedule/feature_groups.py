"""Features that several trials read: cut into parts that any actor computes; who waits for them, the queue knows.

groups = FeatureGroups(num_actors=4)
groups.add("net:train", num_batches=40)
part = groups.pop(); groups.take(part); groups.complete(["net:train"])
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from raybench.schedule.work import Features

__all__ = ["FeatureGroups"]

_PARTS_AN_ACTOR = 4  # so that the last part is short beside the whole
_MAX_BATCHES = 64  # a part that is lost with its actor is not much


class FeatureGroups:
    """Parts to do, in the order the groups were added, and how many of each group are left."""

    def __init__(self, num_actors: int) -> None:
        self._num_actors = num_actors
        self._to_do: deque[Features] = deque()
        self._left: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether a part waits to be done."""
        return bool(self._to_do)

    def add(self, group: str, num_batches: int) -> None:
        """Cut a group into parts; one that was added before is left as it is."""
        if group in self._left:
            return
        size = max(1, min(_MAX_BATCHES, -(-num_batches // (_PARTS_AN_ACTOR * self._num_actors))))
        starts = range(0, num_batches, size)
        self._left[group] = len(starts)
        self._to_do.extend(Features(group=group, start=at, stop=min(at + size, num_batches)) for at in starts)

    def pop(self) -> Features:
        """The next part."""
        return self._to_do.popleft()

    def put_back(self, part: Features) -> None:
        """A part is to be done again, first."""
        self._to_do.appendleft(part)

    def take(self, part: Features) -> None:
        """A part is done, or given up: whoever reads it then computes it alone."""
        self._left[part.group] -= 1

    def complete(self, groups: Iterable[str]) -> bool:
        """Whether nothing of these groups is left."""
        return all(self._left[group] == 0 for group in groups)
