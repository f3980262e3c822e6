"""Which actors hang: a process that has used next to no processor time for long while it had work.

    watch = Watch(hang_seconds=600)
    watch.working(actor, now); watch.beat(actor, cpu_seconds, now); watch.hung(now)

A GPU step keeps its process busy too (launching, waiting in a spin), and an endless loop is caught by the trial's
time limit, so processor time tells the dead from the slow without any help from the code that runs. Waiting for the
hub, for a download or for that of another process, is life: it has time limits of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Watch"]

# Of one processor. At 0.01 a worker that slept but answered beats every 0.75 s still passed for busy (54 s until it
# was told from a working one, 13 s at 0.05).
_BUSY_SHARE = 0.05


@dataclass(slots=True, kw_only=True)
class _Pulse:
    since: float  # when it last was seen busy
    cpu_seconds: float | None = None
    seen: float = 0.0


class Watch:
    """Follows the beats of actors that have work; no clock of its own."""

    def __init__(self, *, hang_seconds: float) -> None:
        self._hang_seconds = hang_seconds
        self._pulses: dict[int, _Pulse] = {}

    def working(self, actor: int, now: float) -> None:
        """The actor has just been given work, or has returned some and has more."""
        self._pulses[actor] = _Pulse(since=now)

    def idle(self, actor: int) -> None:
        """The actor has nothing to do, or is gone."""
        self._pulses.pop(actor, None)

    def beat(self, actor: int, cpu_seconds: float, now: float, *, waits: bool = False) -> None:
        """An answer: processor seconds the process has used in its life; `waits` for something that has its own end."""
        pulse = self._pulses.get(actor)
        if pulse is None:
            return
        if waits or pulse.cpu_seconds is None or cpu_seconds - pulse.cpu_seconds > _BUSY_SHARE * (now - pulse.seen):
            pulse.since = now
        pulse.cpu_seconds, pulse.seen = cpu_seconds, now

    def hung(self, now: float) -> list[int]:
        """Actors with work that have not been busy for `hang_seconds`."""
        return [actor for actor, pulse in self._pulses.items() if now - pulse.since > self._hang_seconds]
