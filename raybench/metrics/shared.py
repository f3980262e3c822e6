"""What was found out before of the same counts or the same predictions: trials of a sweep often differ in neither.

    shared = Shared()
    score = shared.once(("macro_f1", counts_of(state)), lambda: ...)        # made once, of the latest 512 keys

A trial whose hyperparameters change no prediction has the counts of its neighbour, and so its score and its replicates.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar, cast

from raybench.metrics.metric import Contribution, OneHot
from raybench.metrics.state import State

__all__ = ["Shared", "counts_of", "digest_of"]

T = TypeVar("T")

_MOST = 512  # of replicates 8 kB each
_MOST_PLACES = 1 << 12  # of counts: 63 classes


class Shared:
    """The latest results by key."""

    def __init__(self) -> None:
        self._found: OrderedDict[Hashable, Any] = OrderedDict()

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returned for this key, called again only if that is long ago."""
        if key in self._found:
            self._found.move_to_end(key)
            return cast(T, self._found[key])
        found = self._found[key] = make()
        if len(self._found) > _MOST:
            self._found.popitem(last=False)
        return found


def counts_of(state: State) -> Hashable | None:
    """All that a state holds, as a key; None where it may be large, and scores of its many classes with it."""
    if any(cells.size is not None and cells.size > _MOST_PLACES for cells in state.fields.values()):
        return None
    return tuple(
        (name, cells.size, cells.is_float, cells.keys.tobytes(), _bytes(cells.values))
        for name, cells in sorted(state.fields.items())
    )


def _bytes(values: Any) -> Hashable:
    return tuple(values.tolist()) if values.dtype == object else values.tobytes()


def digest_of(contributions: Mapping[str, Contribution]) -> bytes:
    """A hash of what all records contribute, in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for name, contribution in contributions.items():
        parts = (contribution.codes, contribution.weights) if isinstance(contribution, OneHot) else (contribution,)
        for array in (part for part in parts if part is not None):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(array.tobytes())
    return digest.digest()
