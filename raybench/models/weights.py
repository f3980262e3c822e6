"""Whether a checkpoint's weight files are whole, told from their headers before anything starts."""

from __future__ import annotations

import json
from pathlib import Path

from raybench.core import ModelSpec
from raybench.core.errors import ModelError, summary
from raybench.models.files import require_safe_weights

__all__ = ["check_weights"]

_POINTER = b"version https://git-lfs"


def check_weights(model: ModelSpec, directory: Path) -> None:
    """Read the headers and the index of the directory's safetensors.

    Raises:
        ModelError: no weights that may be opened, a file that is torn, empty or a git-lfs pointer, a missing shard.
    """
    require_safe_weights(model, directory)
    files = sorted(directory.glob("*.safetensors"))
    for file in files:
        _check_file(file)
    for index in sorted(directory.glob("*.safetensors.index.json")):
        missing = sorted(set(_shards(index)) - {file.name for file in files})
        if missing:
            raise ModelError(f"{index} names {missing[0]}, which is not beside it; copy the checkpoint anew")


def _check_file(file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with file.open("rb") as opened:
            head = opened.read(len(_POINTER))
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from error
    if not head:
        raise ModelError(f"{file} is empty; copy the checkpoint anew")
    if head == _POINTER:
        raise ModelError(f"{file} is a git-lfs pointer, not the weights: run git lfs pull in its repository")
    try:
        with safe_open(file, framework="numpy") as opened:
            names = opened.keys()
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is torn or not safetensors ({summary(error)}); copy the checkpoint anew") from error
    if not names:
        raise ModelError(f"{file} holds no weights; copy the checkpoint anew")


def _shards(index: Path) -> list[str]:
    try:
        return list(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index} is torn or no index of weights ({summary(error)}); copy it anew") from error
