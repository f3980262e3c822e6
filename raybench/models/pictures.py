"""Pictures that someone has made, as a candidate: files of a folder or a glob, or what a function gives.

    model = ModelSpec(reference="images:/runs/7/samples")
    made_files(model)                     # None: a function makes them
    made_pictures(model, 500)             # the first 500 by content: encoded bytes, or uint8 arrays

What they show is nobody's business here.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from raybench.core import ModelSpec
from raybench.core.catalog import import_place
from raybench.core.errors import JobError, ModelError, RaybenchError, summary
from raybench.core.file_hashes import hash_of_file
from raybench.core.identity import content_hash
from raybench.core.picture_files import picture_files

__all__ = ["made_files", "made_pictures", "pictures_fingerprint", "pictures_stamp"]


def made_files(model: ModelSpec) -> list[Path] | None:
    """The files, in the order of their paths; None where a function makes the pictures.

    Raises:
        ModelError: there is no such folder, or no picture in it.
    """
    reference = str(model.images)
    if Path(reference).is_dir():
        found = picture_files(reference)
    elif glob.has_magic(reference):
        found = [Path(path) for path in sorted(glob.glob(reference, recursive=True)) if Path(path).is_file()]
    elif ":" in reference:
        return None
    else:
        raise ModelError(
            f"images {reference!r}: no such folder; a folder, a glob of files or module:attribute would do"
        )
    if not found:
        raise ModelError(f"images {reference!r}: there is no picture")
    return found


def pictures_fingerprint(model: ModelSpec) -> str:
    """The hash of what the files hold, whatever their names and order; of a function its name: its code has its own."""
    files = made_files(model)
    return content_hash(["images", str(model.images) if files is None else sorted(map(_hash, files))])


def pictures_stamp(model: ModelSpec) -> str:
    """What the file system says of the files; "" of a function."""
    seen = [(path, path.resolve().stat()) for path in made_files(model) or ()]
    return content_hash([[str(path), one.st_size, one.st_mtime_ns, one.st_ino] for path, one in seen]) if seen else ""


def made_pictures(model: ModelSpec, count: int) -> list[tuple[str, Any]]:
    """`count` pictures with their names: files in the order of their content, or what the function gives for `count`.

    Raises:
        ModelError: there are fewer, or the function raised.
    """
    files = made_files(model)
    if files is not None:
        files.sort(key=_hash)
        found = [(str(path), path.read_bytes()) for path in files[:count]]
    else:
        found = [(f"{model.images}, picture {place}", one) for place, one in enumerate(_called(model, count))]
    if len(found) < count:
        raise ModelError(
            f"images {model.images!r}: {len(found)} pictures, and {count} real ones to compare them with: make as many "
            f"(fewer look worse than they are), or say limit: {{test: {len(found)}}}"
        )
    return found[:count]


def _called(model: ModelSpec, count: int) -> list[Any]:
    what = f"images {model.images!r}"
    try:
        make = import_place(what, str(model.images))
    except JobError as error:
        raise ModelError(str(error)) from error
    try:
        made = make(count)
        if not isinstance(made, Iterable):
            raise TypeError(f"it gave {type(made).__name__}, not pictures")
        return [np.asarray(one) for _, one in zip(range(count), made, strict=False)]
    except RaybenchError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code
        raise ModelError(f"{what}: called with {count}: {summary(error)}") from error


def _hash(path: Path) -> str:
    try:
        return hash_of_file(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
