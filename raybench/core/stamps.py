"""What a file system says of files and what is installed: equal stamps, equal bytes, without reading them.

    file_stamps([path])          # [Stamp(path, size, times, inode)], or None: too young to tell
    installed_stamp()            # of every package on Python's path and of raybench's own source

A file that is written twice within one tick of the file system's clock can keep its size and its times. So one that
changed less than two seconds ago has no stamp yet (git calls such entries racy); two seconds are FAT's tick, the
coarsest in use. The time of the inode beside the time of the content sees who puts the latter back, as cp -p does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from raybench.core.identity import content_hash

__all__ = ["Stamp", "file_stamps", "installed_stamp", "look_at", "tree_stamps"]


class Stamp(NamedTuple):
    """What the file system says of a file, links followed."""

    path: str
    size: int
    modified_ns: int
    changed_ns: int  # of the inode
    inode: int


_SETTLED_SECONDS = 2.0
_MOST_FILES = 200_000
_OURS = ("raybench.", "raybench-", "__editable__.raybench-")
_PACKAGES = (".dist-info", ".egg-info", ".egg-link", ".pth")


def look_at(path: str | Path) -> Stamp:
    """A file's stamp as it is now, for what is kept within a process; OSError where there is no file."""
    seen = os.stat(path)
    return Stamp(os.path.abspath(path), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)


def file_stamps(paths: Iterable[str | Path]) -> list[Stamp] | None:
    """A stamp a file; None where one is not there or has changed too short a time ago."""
    settled = (time.time() - _SETTLED_SECONDS) * 1e9
    try:
        stamps = [look_at(path) for path in paths]
    except OSError:
        return None
    return None if any(max(one.modified_ns, one.changed_ns) > settled for one in stamps) else stamps


def tree_stamps(directory: str | Path) -> list[Stamp] | None:
    """Stamps of all files below a directory, by path; None also where there are very many."""
    found: list[str] = []
    for folder, folders, names in os.walk(directory, followlinks=True):
        folders.sort()
        found += [os.path.join(folder, name) for name in names]
        if len(found) > _MOST_FILES:
            return None
    return file_stamps(sorted(found))


@cache
def installed_stamp() -> str | None:
    """Equal in two processes: the same Python, packages and source of raybench; None where the source is being edited.

    A package is known by what its installer has left (name, version and time), raybench by the stamps of its files:
    its installer's traces stand in a checkout too, which is on the path of one process there and not of another.
    What a package adds to the path from inside itself, as Ray does when it is imported, is of that package.
    """
    package = Path(__file__).parent.parent
    ours = file_stamps(sorted(path for path in package.rglob("*") if path.suffix in (".py", ".json")))
    if ours is None:
        return None
    packages = {folder: found for folder in map(os.path.abspath, sys.path) if (found := _packages(folder))}
    outer = [folder for folder in packages if not any(folder.startswith(f"{one}/") for one in packages)]
    return content_hash([sys.version, ours, [[folder, packages[folder]] for folder in outer]])


def _packages(folder: str) -> list[list[str | int]]:
    try:
        with os.scandir(folder) as entries:
            found = [one for one in entries if one.name.endswith(_PACKAGES) and not one.name.startswith(_OURS)]
            return sorted([one.name, one.stat().st_mtime_ns] for one in found)
    except OSError:
        return []
