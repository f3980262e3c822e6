"""From an exception to a `Failure`: what kind it is, one line for the user, the traceback for `--debug`."""

from __future__ import annotations

import traceback

from raybench.core.blips import is_blip, is_full
from raybench.core.errors import DivergedError, IncompatibleError, RaybenchError, StoreFullError
from raybench.schedule.retry import Failure, FailureKind

__all__ = ["classify", "one_line"]

# After these the CUDA context is unusable until the process ends.
_POISONED = ("device-side assert", "illegal memory access", "unspecified launch failure")


def classify(error: BaseException) -> Failure:
    """Name what went wrong; torch's out-of-memory error is known by its class name, so torch is not imported."""
    text = str(error)
    if isinstance(error, IncompatibleError):
        kind = FailureKind.INCOMPATIBLE
    elif isinstance(error, DivergedError):
        kind = FailureKind.NAN
    elif type(error).__name__ == "OutOfMemoryError":
        kind = FailureKind.OOM
    elif isinstance(error, MemoryError):
        kind = FailureKind.HOST_OOM
    elif is_blip(error) or is_full(error):
        kind = FailureKind.TRANSIENT
    else:
        kind = FailureKind.ERROR
    return Failure(
        kind=kind,
        message=text if isinstance(error, RaybenchError) else one_line(error),
        traceback="".join(traceback.format_exception(error)),
        ends_run=isinstance(error, StoreFullError),
        poisons_actor=any(sign in text for sign in _POISONED),
    )


def one_line(error: BaseException) -> str:
    """`ValueError: first line of the message`."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
