"""What a trial has used of its time, over all its calls on all actors.

clock = TrialClock(limit_seconds=3600)
clock.begin(actor, ("trial-a",), now); clock.end(actor, now); clock.over(now)
"""

from __future__ import annotations

from collections import defaultdict

__all__ = ["TrialClock"]


class TrialClock:
    """Adds up seconds of actors at work; trials fitted together share their time equally. No clock of its own."""

    def __init__(self, *, limit_seconds: float | None) -> None:
        self._limit_seconds = limit_seconds
        self._used: defaultdict[str, float] = defaultdict(float)
        self._running: dict[int, tuple[tuple[str, ...], float]] = {}  # actor → trials, and since when

    def begin(self, actor: int, trial_ids: tuple[str, ...], now: float) -> None:
        """The actor turns to work for these trials (none: to work for nobody in particular)."""
        self.end(actor, now)
        if trial_ids:
            self._running[actor] = (trial_ids, now)

    def end(self, actor: int, now: float) -> None:
        """The actor has ended what it did."""
        trial_ids, since = self._running.pop(actor, ((), now))
        for trial_id in trial_ids:
            self._used[trial_id] += (now - since) / len(trial_ids)

    def lost(self, actor: int, now: float) -> None:
        """The actor is gone with what it did; what it did for several trials counts for none of them.

        They are tried again one by one, and those that stood beside the one at fault have not had their time yet.
        """
        if len(self._running.get(actor, ((), now))[0]) > 1:
            del self._running[actor]
        self.end(actor, now)

    def over(self, now: float) -> list[int]:
        """Actors at work for trials that have used up their time."""
        if self._limit_seconds is None:
            return []
        return [
            actor
            for actor, (trial_ids, since) in self._running.items()
            if all(self._now(trial_id, now) > self._limit_seconds for trial_id in trial_ids)
        ]

    def _now(self, trial_id: str, now: float) -> float:
        """Seconds used up to now, on all actors."""
        running = [
            (now - since) / len(trial_ids) for trial_ids, since in self._running.values() if trial_id in trial_ids
        ]
        return self._used[trial_id] + sum(running)
