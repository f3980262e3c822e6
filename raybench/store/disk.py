"""A store on a disk that this machine sees: whole files appear at once, and a listing outlives what goes meanwhile.

fsspec's own listing of a directory leaves all of it out when one of its files goes in that moment.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress

__all__ = ["list_files", "list_folders", "write_atomically"]

_TRIES = 5  # to write into a folder that somebody removes


def write_atomically(path: str, data: bytes) -> None:
    """Write a file under a temporary name and rename it; when that fails nothing is left."""
    folder = os.path.dirname(path)
    for tries_left in reversed(range(_TRIES)):
        temporary = os.path.join(folder, f".{uuid.uuid4().hex}.tmp")
        try:
            os.makedirs(folder, exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
            return
        except FileNotFoundError:  # the folder went in between
            if not tries_left:
                raise
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise


def list_files(folder: str) -> Iterator[str]:
    """Whole paths of all files below a folder; none where there is no folder."""
    for base, _, names in os.walk(folder, onerror=_unless_gone):
        for name in names:
            yield f"{base}/{name}"


def list_folders(folder: str) -> list[str]:
    """Names of the folders directly below a folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error
