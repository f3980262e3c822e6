"""Ctrl-C at a safe place: the first one is noted for the driver's loop, the second one interrupts at once.

    with noting_interrupts() as interrupted:
        while not interrupted(): ...

An exception raised by a signal can land in the middle of a library's callback and be swallowed there.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["noting_interrupts"]


@contextmanager
def noting_interrupts() -> Iterator[Callable[[], bool]]:
    """A function that says whether SIGINT or SIGTERM has come; outside the main thread it never does."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
