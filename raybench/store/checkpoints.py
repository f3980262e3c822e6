"""Checkpoints of trials under way: what a fit trained, as one safetensors file, removed when the trial ends.

Any actor on any node scores a trial from here, and a run that was killed goes on without fitting again.
The bytes are `raybench.trial.Checkpoint`'s; this module does not look inside.
"""

from __future__ import annotations

from raybench.store.files import Files

__all__ = ["has_checkpoint", "list_checkpoints", "read_checkpoint", "remove_checkpoint", "write_checkpoint"]

_SUFFIX = ".safetensors"


def write_checkpoint(files: Files, trial_id: str, data: bytes) -> None:
    """Store a trial's checkpoint."""
    files.write(_path(trial_id), data)


def read_checkpoint(files: Files, trial_id: str) -> bytes:
    """A trial's checkpoint; FileNotFoundError when there is none."""
    return files.read(_path(trial_id))


def has_checkpoint(files: Files, trial_id: str) -> bool:
    """Whether a trial's fit is in the store."""
    return files.exists(_path(trial_id))


def list_checkpoints(files: Files) -> frozenset[str]:
    """Ids of all trials whose fit is in the store."""
    found = files.list("checkpoints", _SUFFIX)
    return frozenset(path.rsplit("trial=", 1)[-1].removesuffix(_SUFFIX) for path in found)


def remove_checkpoint(files: Files, trial_id: str) -> None:
    """Remove a trial's checkpoint."""
    files.remove(_path(trial_id))


def _path(trial_id: str) -> str:
    return f"checkpoints/trial={trial_id}{_SUFFIX}"
