"""Why an actor ended, as far as Ray knows; and whether it is to blame where a node ran out of memory."""

from __future__ import annotations

from collections.abc import Mapping

from ray import exceptions

from raybench.core.errors import RaybenchError
from raybench.schedule.retry import Failure, FailureKind

__all__ = ["blame", "death"]


def death(error: exceptions.RayError, *, starting: bool, grew_most: bool = True, leaving: bool = False) -> Failure:
    """The failure that an actor's death is, with Ray's own reason where it died before it was ready.

    Ray calls an actor preempted when its node went after the time it had been given; one whose node was `leaving`, and
    was taken sooner, is so too.
    """
    text = str(error)
    if leaving or getattr(error, "preempted", False):
        return Failure(kind=FailureKind.PREEMPTED, message="its node was taken away")
    # An actor's end by the memory monitor is an OutOfMemoryError or, told later, a death with advice on the threshold;
    # the word OOM stands in every death's list of common causes.
    if isinstance(error, exceptions.OutOfMemoryError) or "RAY_memory_usage_threshold" in text:
        kind = FailureKind.HOST_OOM if grew_most else FailureKind.BYSTANDER
        return Failure(kind=kind, message="the node ran out of memory and ended the actor", traceback=text)
    raised = starting and isinstance(error, exceptions.RayTaskError)  # by an actor that was there before its run
    if not raised and not isinstance(error, exceptions.RayActorError | exceptions.OwnerDiedError):
        return Failure(kind=FailureKind.DIED, message=text.split("\n")[0], traceback=text)
    if starting:
        return Failure(kind=FailureKind.DIED, message=_own_words(text), traceback=text)
    return Failure(kind=FailureKind.DIED, message="its actor died while it ran", traceback=text)


def blame(actor: int, growth: Mapping[int, int]) -> bool:
    """Whether no other actor of its node has taken more memory since it was given its work."""
    return all(growth.get(actor, 0) >= taken for other, taken in growth.items() if other != actor)


def _own_words(text: str) -> str:
    """What Ray says of a start that failed: the exception at the end of its traceback, or how the process ended."""
    _, told, detail = text.partition("Worker exit detail:")
    if told:
        return " ".join(detail.split(". ", 2)[:2]).split("\n")[0].strip()[:300]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "Ray gives no reason"
    ours = lines[-1].startswith(f"{RaybenchError.__module__}.")  # a whole line for a user, without its class
    return (lines[-1].partition(": ")[2] if ours else lines[-1])[:500]
