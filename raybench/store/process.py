"""A process as another one can find it: on this machine, by its number and when it began.

mine = this_process()
still_runs(mine)            # True; None of one on another machine
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Process", "still_runs", "this_process"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """`machine` names a running system and a space of process numbers in it, such as one container; "" if unknown."""

    host: str
    machine: str
    pid: int
    began: str  # in the system's own ticks since its start

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> Process:
    """The one this runs in."""
    _, began = _state(os.getpid())
    return Process(host=socket.gethostname(), machine=_machine(), pid=os.getpid(), began=began)


def still_runs(process: Process) -> bool | None:
    """Whether it does, None where that cannot be seen from here."""
    if not process.machine or process.machine != _machine():
        return None
    state, began = _state(process.pid)
    return began == process.began and state not in ("Z", "X", "")  # not one that only waits to be buried


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _state(pid: int) -> tuple[str, str]:
    """Its state, one letter, and when it began; empty where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[19]
