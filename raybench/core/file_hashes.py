"""The hash of a file's bytes, read once: remembered by its stamp in this process, and on this machine if it is large.

hash_of_file("model.safetensors")

A large file in the hub's cache is named by its SHA-256 (`blobs/<64 hex digits>`), which is held against its bytes in
the same reading. The name is never taken for the bytes: weights are the same wherever they lie, and a torn or changed
download has the name of a whole one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

from raybench.core.identity import file_hash, hash_object
from raybench.core.remembered import keep, recall
from raybench.core.stamps import Stamp, file_stamps

__all__ = ["hash_of_file"]

_KIND = "files"
_LARGE_BYTES = 1 << 20  # smaller ones are read as quickly as what was remembered of them
_SHA256 = re.compile(r"[0-9a-f]{64}")


def hash_of_file(path: Path) -> str:
    """As `file_hash`; a file that changed a moment ago is read each time.

    Raises:
        OSError: it cannot be read, or is not what the hub's cache says it is.
    """
    stamps = file_stamps([path])
    return _read(path) if stamps is None else _read_once(stamps[0])


@lru_cache(maxsize=1 << 17)
def _read_once(stamp: Stamp) -> str:
    path, size, *_ = stamp
    if size < _LARGE_BYTES:
        return _read(path)
    known = recall(_KIND, list(stamp))
    if isinstance(known, str):
        return known
    found = _read(path)
    if file_stamps([path]) == [stamp]:  # else it was written meanwhile
        keep(_KIND, list(stamp), found)
    return found


def _read(path: str | Path) -> str:
    blob = Path(os.path.realpath(path))
    if blob.parent.name != "blobs" or not _SHA256.fullmatch(blob.name):
        return file_hash(path)
    ours, hubs = hash_object(), hashlib.sha256()
    with open(blob, "rb") as file:
        while data := file.read(_LARGE_BYTES):
            ours.update(data)
            hubs.update(data)
    if hubs.hexdigest() != blob.name:
        told = f"its bytes are not those of the hub, torn or changed since; remove {blob} and download it again"
        raise OSError(errno.EIO, told)
    return ours.hexdigest()
