"""References in a job file made whole: `~`, environment variables, relative paths, globs of checkpoints.

A reference with a scheme (`pkg:`, `arch:`, `s3://`) and a hub id stay as they are. What exists beside the job file
is a path; so is what starts with `.`, `/` or `~`.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from raybench.core.errors import JobError

__all__ = [
    "default_name",
    "expand_variables",
    "file_path",
    "finds_files",
    "folders",
    "input_path",
    "is_glob",
    "natural",
]

_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")
_SCHEME = re.compile(r"^[a-zA-Z][\w+.-]+:")


def expand_variables(text: str) -> str:
    """`~` and `$NAME` replaced; JobError for a variable that is not set."""
    if "\0" in text:
        raise JobError(f"{text!r} holds a zero character, which no path can")
    expanded = os.path.expandvars(text)
    if unset := _VARIABLE.search(expanded):
        raise JobError(f"environment variable {unset[1].strip('{}') or '${}'} is not set")
    whole = os.path.expanduser(expanded)
    if whole.startswith("~"):
        raise JobError(f"{whole.partition('/')[0]}: no such user's home; write ./{whole} for a folder of this name")
    return whole


def input_path(reference: str, directory: Path) -> str:
    """An absolute path for a reference to something local; any other reference as it is."""
    reference = expand_variables(reference)
    if _SCHEME.match(reference) and not Path(reference).is_absolute():
        return reference
    local = reference.startswith((".", "/", "~")) or os.path.exists(directory / reference)
    return os.path.normpath(directory / reference) if local else reference


def file_path(reference: str, directory: Path) -> str:
    """An absolute path (or pattern of paths) for what can only be a file; a URL as it is."""
    reference = expand_variables(reference)
    return reference if "://" in reference else os.path.normpath(directory / reference)


def is_glob(reference: str) -> bool:
    return not _SCHEME.match(reference) and glob.has_magic(reference)


def folders(pattern: str, directory: Path) -> list[str]:
    """The directories that a pattern finds, in natural order: checkpoint-2 before checkpoint-10."""
    pattern = os.path.normpath(directory / expand_variables(pattern))
    found = [path for path in glob.glob(pattern, recursive=True) if os.path.isdir(path)]
    if not found:
        raise JobError(f"no directory matches {pattern}")
    return sorted(found, key=natural)


def finds_files(pattern: str, directory: Path) -> bool:
    """Whether a pattern finds files, and not folders alone."""
    return any(map(os.path.isfile, glob.iglob(os.path.normpath(directory / expand_variables(pattern)), recursive=True)))


def default_name(reference: str) -> str:
    """The last part of a reference."""
    return re.split(r"[/\\:]", reference.rstrip("/\\"))[-1] or reference


def natural(text: str) -> list[tuple[int, int, str]]:
    """A key to sort by in which numbers inside text count as numbers."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]
