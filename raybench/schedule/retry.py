"""What a failure means: whether the same work is worth another try, and else how the trial ends.

decide(Failure(kind=FailureKind.DIED, message="exit code 9"), attempts=1)    # None: try again
decide(failure, attempts=3)                                                  # Status.FAILED
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from raybench.core import Status

__all__ = ["MAX_ATTEMPTS", "NOT_CHARGED", "Failure", "FailureKind", "decide"]

MAX_ATTEMPTS = 3


class FailureKind(StrEnum):
    """Why work did not end well."""

    INCOMPATIBLE = "incompatible"  # the candidate does not fit the task: the same tomorrow
    NAN = "nan"  # the loss diverged: the same tomorrow
    ERROR = "error"  # an exception from code or data: the same on every actor
    TRANSIENT = "transient"  # the network or a file system: may work next time
    OOM = "oom"  # one row does not fit in the device's memory
    HOST_OOM = "host_oom"  # the node killed the actor for memory
    DIED = "died"  # the actor's process ended
    HUNG = "hung"  # the actor stopped making progress and was killed
    TIMEOUT = "timeout"  # the trial used up its time and its actor was killed
    PREEMPTED = "preempted"  # the node was taken away: not the work's fault
    BYSTANDER = "bystander"  # the node killed the actor for memory that another one had taken


_GIVE_UP_AS = {
    FailureKind.INCOMPATIBLE: Status.INCOMPATIBLE,
    FailureKind.NAN: Status.NAN,
    FailureKind.ERROR: Status.FAILED,
    FailureKind.TRANSIENT: Status.FAILED,
    FailureKind.OOM: Status.OOM,
    FailureKind.HOST_OOM: Status.OOM,
    FailureKind.DIED: Status.FAILED,
    FailureKind.HUNG: Status.TIMEOUT,
    FailureKind.TIMEOUT: Status.TIMEOUT,
}
NOT_CHARGED = {FailureKind.PREEMPTED, FailureKind.BYSTANDER}  # tried again, however often
_WORTH_RETRYING = {FailureKind.TRANSIENT, FailureKind.HOST_OOM, FailureKind.DIED, FailureKind.HUNG}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure's kind, one line for the user, and the traceback for `--debug`."""

    kind: FailureKind
    message: str
    traceback: str = ""
    ends_run: bool = False  # no other work would end better: the store is full
    poisons_actor: bool = False  # the process cannot be trusted any more, as after a CUDA device assert


def decide(failure: Failure, attempts: int) -> Status | None:
    """None to try again, or the status to end with; `attempts` counts this failure and those before it."""
    if failure.kind in NOT_CHARGED:
        return None
    if failure.kind in _WORTH_RETRYING and attempts < MAX_ATTEMPTS:
        return None
    return _GIVE_UP_AS[failure.kind]
