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
    "is_whole",
    "list_checkpoints",
    "read_checkpoint",
    "read_digest",
    "read_metadata",
    "remove_checkpoint",
    "write_checkpoint",
]

_SUFFIX = ".safetensors"


def write_checkpoint(files: Files, trial_id: str, data: bytes) -> None:
    """Store a trial's checkpoint."""
    files.write(_path(trial_id), data)


def read_checkpoint(files: Files, trial_id: str) -> bytes:
    """A trial's checkpoint; FileNotFoundError when there is none."""
    return files.read(_path(trial_id))


def is_whole(files: Files, trial_id: str) -> bool:
    """Whether a checkpoint's file is as long as its header says."""
    try:
        header, header_end = _header(files, trial_id)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return False
    return files.size(_path(trial_id)) == header_end + max(ends, default=0)


def read_digest(files: Files, trial_id: str) -> str:
    """The hash of a checkpoint's arrays, as its fit wrote it beside them; "" when there is no checkpoint."""
    try:
        return read_metadata(files, trial_id).get("digest", "")
    except FileNotFoundError:
        return ""


def read_metadata(files: Files, trial_id: str) -> dict[str, str]:
    """The text the fit left beside its arrays, read without them; FileNotFoundError when there is no checkpoint."""
    return _header(files, trial_id)[0].get("__metadata__", {})


def list_checkpoints(files: Files) -> frozenset[str]:
    """Ids of all trials whose fit is in the store."""
    found = files.find("checkpoints", _SUFFIX)
    return frozenset(path.rsplit("trial=", 1)[-1].removesuffix(_SUFFIX) for path in found)


def remove_checkpoint(files: Files, trial_id: str) -> None:
    """Remove a trial's checkpoint."""
    files.remove(_path(trial_id))


def _header(files: Files, trial_id: str) -> tuple[dict[str, Any], int]:
    """A safetensors file starts with the length of its header (uint64, little-endian) and the header, a JSON object."""
    (length,) = struct.unpack("<Q", files.read(_path(trial_id), 0, 8))
    return json.loads(files.read(_path(trial_id), 8, 8 + length)), 8 + length


def _path(trial_id: str) -> str:
    return f"checkpoints/trial={trial_id}{_SUFFIX}"
