"""Faults of the world that pass: which they are, how long to wait before another try, and when to give up.

    persist(lambda: filesystem.pipe_file(path, data))       # timeouts, 429, 503, a busy file: tried again
    pause_before(error, tries=1)                            # the policy alone: seconds, or None to give up

Errors of HTTP clients are known by the names of their classes and by their status codes: none of them is imported.
Work that is tried again must be such that doing it twice is doing it once.
"""

from __future__ import annotations

import errno
import random
import socket
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["TRIES", "is_blip", "is_full", "pause_before", "persist"]

T = TypeVar("T")

_FULL = {errno.ENOSPC, errno.EDQUOT}
_PASSING = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EINTR,
    errno.EIO,
    getattr(errno, "EREMOTEIO", errno.EIO),  # what s3fs makes of an internal error of the service
    errno.EMFILE,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.ENETUNREACH,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOTEMPTY,  # a folder that somebody writes to while it is removed
    errno.EPIPE,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
_STATUS_CODES = {408, 425, 429, 500, 502, 503, 504}
_SERVICE_CODES = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling"}
_CLASSES = {
    ("aiohttp", "ClientConnectionError"),
    ("aiohttp", "ClientPayloadError"),
    ("botocore", "ConnectionError"),
    ("botocore", "HTTPClientError"),
    ("botocore", "IncompleteReadError"),
    ("httpx", "TransportError"),
    ("requests", "ChunkedEncodingError"),
    ("requests", "ConnectionError"),
    ("requests", "Timeout"),
    ("urllib3", "ProtocolError"),
    ("urllib3", "TimeoutError"),
}

_FIRST_SECONDS, _LONGEST_SECONDS = 0.25, 16.0
TRIES = 8  # 0.25, 0.5, … 16: half a minute in all
_FULL_SECONDS = (1.0, 2.0, 4.0)  # somebody may be clearing up; more often nobody is


def is_full(error: BaseException | None) -> bool:
    """Whether a disk or a quota is full, said by this error or by the one it comes from."""
    return any(isinstance(one, OSError) and one.errno in _FULL for one in _chain(error))


def is_blip(error: BaseException | None) -> bool:
    """Whether the same call may work in a moment: the error, or the one it comes from, is of the network or busy."""
    return any(_passes(one) for one in _chain(error))


def pause_before(error: BaseException, tries: int) -> float | None:
    """Seconds to wait after so many tries that ended so, or None when another one is not worth it."""
    if is_full(error):
        return _FULL_SECONDS[tries - 1] if tries <= len(_FULL_SECONDS) else None
    if not is_blip(error) or tries >= TRIES:
        return None
    return min(_FIRST_SECONDS * 2.0 ** (tries - 1), _LONGEST_SECONDS)


def persist(call: Callable[[], T], pause: Callable[[float], None] = time.sleep, *, most_tries: int = TRIES) -> T:
    """What `call` returns, tried again where its fault may pass; the last fault is raised as it is.

    Each wait is cut at random, to between a half and the whole: many who were refused at once do not come back at once.
    """
    tries = 0
    while True:
        try:
            return call()
        except Exception as error:
            tries += 1
            seconds = pause_before(error, tries)
            if seconds is None or tries >= most_tries:
                raise
            pause(seconds * _CHANCE.uniform(0.5, 1.0))


_CHANCE = random.Random()  # its own: the shared generator may be a seeded one of somebody's fit


def _chain(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__
    return chain


def _passes(error: BaseException) -> bool:
    if isinstance(error, (ConnectionError, TimeoutError, InterruptedError, socket.gaierror)):
        return True
    if isinstance(error, OSError) and error.errno in _PASSING:
        return True
    if any((kind.__module__.split(".")[0], kind.__name__) in _CLASSES for kind in type(error).__mro__):
        return True
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        said = response.get("Error", {}).get("Code")
        return said in _SERVICE_CODES or response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _STATUS_CODES
    codes = (getattr(error, "status", None), getattr(error, "code", None), getattr(response, "status_code", None))
    return any(code in _STATUS_CODES for code in codes if isinstance(code, int))
