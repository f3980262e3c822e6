"""The hash of a file's bytes, read once: remembered by its stamp in this process, and on this machine if it is large.

hash_of_file("model.safetensors")
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from raybench.core.identity import file_hash
from raybench.core.remembered import keep, recall
from raybench.core.stamps import Stamp, file_stamps

__all__ = ["hash_of_file"]

_KIND = "files"
_LARGE_BYTES = 1 << 20  # smaller ones are read as quickly as what was remembered of them


def hash_of_file(path: Path) -> str:
    """As `file_hash`; OSError where it cannot be read. A file that changed a moment ago is read each time."""
    stamps = file_stamps([path])
    return file_hash(path) if stamps is None else _read_once(stamps[0])


@lru_cache(maxsize=1 << 17)
def _read_once(stamp: Stamp) -> str:
    path, size, *_ = stamp
    if size < _LARGE_BYTES:
        return file_hash(path)
    known = recall(_KIND, list(stamp))
    if isinstance(known, str):
        return known
    found = file_hash(path)
    if file_stamps([path]) == [stamp]:  # else it was written meanwhile
        keep(_KIND, list(stamp), found)
    return found
