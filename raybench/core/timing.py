"""When the parts of a command were first reached, for who asks where its time goes.

timing = Timing()
timing.mark("plan"); timing.mark("plan", earlier)       # the first of all stands
"""

from __future__ import annotations

import time

__all__ = ["Timing"]


class Timing:
    """Moments by name, in seconds from the beginning, by this machine's clock."""

    def __init__(self, began: float | None = None) -> None:
        self.began = time.time() if began is None else began
        self._moments: dict[str, float] = {}

    def mark(self, name: str, at: float | None = None) -> None:
        """It was reached now, or `at` (seconds since 1970, as another process may tell)."""
        moment = (time.time() if at is None else at) - self.began
        self._moments[name] = min(moment, self._moments.get(name, moment))

    @property
    def moments(self) -> dict[str, float]:
        """In the order that they were reached."""
        return dict(sorted(self._moments.items(), key=lambda one: one[1]))
