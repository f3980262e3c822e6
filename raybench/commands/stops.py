"""A stop before a command has begun: one line, from the first moment of the process on; after its end nothing at all.

Imports next to nothing.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from types import FrameType

__all__ = ["STOPPED", "STOPS", "leave_on_stop"]

STOPS = (signal.SIGINT, signal.SIGTERM)  # a scheduler's polite end is a Ctrl-C
STOPPED = "stopped; what is done is in the store: the same command goes on from there"


def leave_on_stop() -> None:
    """Until a command has begun there is nothing to clean, and no place where an exception would be caught."""
    for number in STOPS:
        signal.signal(number, _leave)
    atexit.register(_stay)  # the first to be registered is the last to be called


def _stay() -> None:
    """All is done and told. While Python takes its modules apart a stop would end it by the bare signal."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def _leave(number: int, frame: FrameType | None) -> None:
    print(STOPPED, file=sys.stderr, flush=True)
    os._exit(130)
