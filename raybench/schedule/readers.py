"""Who still reads what was made for a run: prepared rows and features are let go with their last reader.

readers = Readers({"trial-a": ["rows", "features"], "trial-b": ["rows"]})
readers.end("trial-a")             # ["features"]: nobody reads them any more
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

__all__ = ["Readers"]


class Readers:
    """Counts, for each key, the trials that have not ended and read it."""

    def __init__(self, reads: Mapping[str, Iterable[str]]) -> None:
        self._reads = {trial_id: tuple(dict.fromkeys(keys)) for trial_id, keys in reads.items()}
        self._left = Counter(key for keys in self._reads.values() for key in keys)

    def end(self, trial_id: str) -> list[str]:
        """The keys whose last reader this trial was."""
        keys = self._reads.pop(trial_id, ())
        self._left.subtract(keys)
        return [key for key in keys if self._left[key] == 0]
