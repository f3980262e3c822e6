"""Answers that are dear to find and cheap to ask for again, kept on this machine by all that they hang on.

    answer = recall("plan", key)          # None: never asked, torn, or nothing is kept here
    keep("plan", key, {"cost": 1.0})

The key holds everything that could change the answer (stamps of files, versions, settings), so what has changed is
another question, and there is nothing to invalidate. An answer that is not whole is none, and is found out anew.
Two processes may keep the same answer at once.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from raybench.core.cache import cache_directory
from raybench.core.identity import bytes_hash, canonical_json, content_hash

__all__ = ["forget", "keep", "recall"]

_VERSION = 2  # of the keys and answers of all kinds
_DAY = 86_400.0
_UNUSED_DAYS = 60
_MOST_BYTES = 1 << 20  # of one answer


def recall(kind: str, key: Any) -> Any:
    """The answer that was kept under this JSON-like key, or None."""
    path = _path(kind, key)
    if path is None:
        return None
    try:
        data = path.read_bytes()
        digest, _, answer = data.partition(b"\n")
        if digest.decode("ascii", "replace") != bytes_hash([answer]):
            return None
        if time.time() - path.stat().st_mtime > _DAY:
            os.utime(path)  # in use: not among those that go
        return json.loads(answer)
    except (OSError, ValueError):
        return None


def keep(kind: str, key: Any, answer: Any) -> None:
    """Keep a JSON-like answer; a disk that refuses costs the memory alone."""
    path, data = _path(kind, key), canonical_json(answer).encode()
    if path is None or len(data) > _MOST_BYTES:
        return
    unfinished = path.with_name(f".{uuid.uuid4().hex}.tmp")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(bytes_hash([data]).encode() + b"\n" + data)
        unfinished.replace(path)
        if path.name.startswith("00"):  # now and then
            _forget_unused(path.parent)


def forget(kind: str, key: Any) -> None:
    """Let go of an answer that has turned out to be wrong."""
    path = _path(kind, key)
    if path is not None:
        with suppress(OSError):
            path.unlink()


def _path(kind: str, key: Any) -> Path | None:
    base = cache_directory()
    if base is None:
        return None
    try:
        return base / "remembered" / kind / f"{content_hash([_VERSION, key])}.json"
    except TypeError:  # a key that holds what JSON does not, such as a date of the job file
        return None


def _forget_unused(folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(OSError):  # another process may be at it too
            if time.time() - path.stat().st_mtime > _UNUSED_DAYS * _DAY:
                path.unlink()
