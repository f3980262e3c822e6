"""Checkpoints of trials under way: what a fit trained, as one safetensors file, removed when the trial ends.

Any actor on any node scores a trial from here, and a run that was killed goes on without fitting again.
The bytes are `raybench.runtime.trial.Checkpoint`'s; of them this module reads the header alone.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from raybench.store.files import Files

__all__ = [
    "checkpoint_bytes",
    "is_intact",
    "list_checkpoints",
    "read_checkpoint",
    "read_digest",
    "read_metadata",
    "remove_checkpoint",
    "write_checkpoint",
]

_SUFFIX = ".safetensors"
_HEAD_BYTES = 4096  # longer headers need a second read


def write_checkpoint(files: Files, trial_id: str, data: bytes) -> None:
    """Store a trial's checkpoint."""
    files.write(_path(trial_id), data)


def read_checkpoint(files: Files, trial_id: str) -> bytes:
    """A trial's checkpoint; FileNotFoundError when there is none."""
    return files.read(_path(trial_id))


def is_intact(files: Files, trial_id: str) -> bool | None:
    """Whether a checkpoint's file is as long as its header says; None: there is none, or none any more."""
    try:
        size = files.size(_path(trial_id))
        header, header_end = _header(files, trial_id, size)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except FileNotFoundError:
        return None
    except (_TornError, LookupError, TypeError, AttributeError):
        return False
    return size == header_end + max(ends, default=0)


def read_digest(files: Files, trial_id: str) -> str:
    """The hash of a checkpoint's arrays, as its fit wrote it beside them; "" when there is no checkpoint."""
    try:
        return read_metadata(files, trial_id).get("digest", "")
    except FileNotFoundError:
        return ""


def read_metadata(files: Files, trial_id: str) -> dict[str, str]:
    """The text the fit left beside its arrays, read without them.

    Raises:
        FileNotFoundError: there is no checkpoint, or one that is torn.
    """
    try:
        return _header(files, trial_id, files.size(_path(trial_id)))[0].get("__metadata__", {})
    except _TornError as error:
        raise FileNotFoundError(_path(trial_id)) from error


def checkpoint_bytes(files: Files, trial_id: str) -> int:
    """How large a checkpoint's file is; 0 where there is none."""
    try:
        return files.size(_path(trial_id))
    except FileNotFoundError:
        return 0


def list_checkpoints(files: Files) -> frozenset[str]:
    """Ids of all trials whose fit is in the store."""
    found = files.find("checkpoints", _SUFFIX)
    return frozenset(path.rsplit("trial=", 1)[-1].removesuffix(_SUFFIX) for path in found)


def remove_checkpoint(files: Files, trial_id: str) -> None:
    """Remove a trial's checkpoint."""
    files.remove(_path(trial_id))


class _TornError(Exception):
    """A file that is no whole checkpoint."""


def _header(files: Files, trial_id: str, size: int) -> tuple[dict[str, Any], int]:
    """A safetensors file starts with the length of its header (uint64, little-endian) and the header, a JSON object."""
    start = files.read(_path(trial_id), 0, min(size, _HEAD_BYTES)) if size >= 8 else b""
    if len(start) < 8:
        raise _TornError
    end = 8 + int(struct.unpack_from("<Q", start)[0])
    if end > size:
        raise _TornError
    header = start[8:end] if end <= len(start) else files.read(_path(trial_id), 8, end)
    try:
        return json.loads(header), end
    except ValueError as error:
        raise _TornError from error


def _path(trial_id: str) -> str:
    return f"checkpoints/trial={trial_id}{_SUFFIX}"
