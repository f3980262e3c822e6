"""The files of a model on this machine: a directory as it is, or a hub repository brought into the hub's own cache.

Only configuration, tokenizer and safetensors files are ever fetched; pickle files only where the job allows them.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from raybench.core import ModelSpec
from raybench.core.errors import ModelError, summary
from raybench.core.stamps import Stamp, look_at
from raybench.models.reference import Architecture, HubId, LocalPath, resolve

__all__ = [
    "local_stamps",
    "model_directory",
    "pinned",
    "read_object",
    "require_safe_weights",
    "small_files",
    "small_stamps",
    "tokenizer_directory",
    "weight_files",
]

_SMALL = ("*.json", "*.txt", "*.model", "*.jinja", "1_Pooling/config.json")
_NOT_CONTENT = {"data_config.json", "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"}
_TIMEOUT_SECONDS = 5.0


def model_directory(model: ModelSpec, *, weights: bool = True) -> Path | None:
    """The directory with the model's files, or None for `arch:` references, which have none.

    Raises:
        ModelError: the reference leads nowhere, or the hub cannot be reached.
    """
    return _directory(model.reference, model.revision, weights=weights, allow_pickle=model.allow_pickle)


def tokenizer_directory(model: ModelSpec) -> Path:
    """The directory with the tokenizer's files: `tokenizer`, or the model's own."""
    own = (model.reference, model.revision)
    reference, revision = (model.tokenizer, model.tokenizer_revision) if model.tokenizer else own
    directory = _directory(reference, revision, weights=False, allow_pickle=False)
    if directory is None:
        raise ModelError(f"model {model.reference!r}: an architecture has no tokenizer; name one with 'tokenizer:'")
    return directory


def pinned(model: ModelSpec, pins: dict[tuple[str, str | None], str | None]) -> ModelSpec:
    """The model with revisions of the hub as commit hashes, so that every process opens what this one saw.

    `pins` are those resolved before, and takes new ones. What cannot be resolved stays as it is: whoever opens it says
    why it cannot be.
    """
    if model.baseline is not None or model.images is not None:
        return model
    tokenizer = _pin(model.tokenizer, model.tokenizer_revision, pins) if model.tokenizer else None
    return replace(model, revision=_pin(model.reference, model.revision, pins), tokenizer_revision=tokenizer)


def _pin(reference: str, revision: str | None, pins: dict[tuple[str, str | None], str | None]) -> str | None:
    if (reference, revision) not in pins:
        pins[reference, revision] = revision
        with suppress(ModelError):
            place = resolve(reference, Path.cwd())
            if isinstance(place, HubId):
                pins[reference, revision] = _snapshot(place, revision, weights=False, allow_pickle=False).name
    return pins[reference, revision]


def small_files(directory: Path) -> list[Path]:
    """Configuration and tokenizer files that can change what comes out of the model, by relative name."""
    found = {path for pattern in _SMALL for path in directory.glob(pattern)}
    return sorted(path for path in found if path.name not in _NOT_CONTENT and not path.name.endswith(".index.json"))


def small_stamps(directory: Path) -> tuple[Stamp, ...]:
    """What the file system says of them now: an equal answer, the same configuration and tokenizer."""
    return tuple(look_at(path) for path in small_files(directory))


def local_stamps(model: ModelSpec) -> tuple[Stamp, ...]:
    """The same of a model's directory here; () of a hub's commit, which never changes, and of an architecture."""
    place = resolve(model.reference, Path.cwd())
    return small_stamps(place.path) if isinstance(place, LocalPath) else ()


def weight_files(directory: Path, *, allow_pickle: bool) -> list[Path]:
    """The weight files that would be opened; empty when there are none that may be."""
    safe = sorted(directory.glob("*.safetensors"))
    return safe if safe or not allow_pickle else sorted(directory.glob("*.bin"))


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a checkpoint's file; ModelError, which names the file, for anything else."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {summary(error)}; copy it anew") from error
    if not isinstance(saved, dict):
        raise ModelError(f"{path}: want an object of keys and values, got {type(saved).__name__}")
    return saved


def require_safe_weights(model: ModelSpec, directory: Path) -> None:
    """Raise a ModelError when the directory holds no weights, or only pickled ones that the job does not allow."""
    if weight_files(directory, allow_pickle=model.allow_pickle):
        return
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in directory.glob(pattern))
    if pickled:
        raise ModelError(
            f"model {model.reference!r}: its weights are pickled ({pickled[0]}), which can run any code when opened; "
            "convert them to safetensors, or set 'allow_pickle: true' for this candidate if you trust them"
        )
    raise ModelError(f"model {model.reference!r}: no *.safetensors file in {directory}")


def _directory(reference: str, revision: str | None, *, weights: bool, allow_pickle: bool) -> Path | None:
    place = resolve(reference, Path.cwd())
    if isinstance(place, Architecture):
        return None
    if isinstance(place, LocalPath):
        if not place.path.is_dir():
            raise ModelError(f"model {reference!r}: {place.path} is a file; give the directory that holds config.json")
        return place.path
    return _snapshot(place, revision, weights=weights, allow_pickle=allow_pickle)


def _snapshot(place: HubId, revision: str | None, *, weights: bool, allow_pickle: bool) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    patterns = [*_SMALL, *(["*.safetensors"] if weights else []), *(["*.bin"] if weights and allow_pickle else [])]
    where = f"model {place.repository!r}" + (f" at revision {revision!r}" if revision else "")
    offline = constants.HF_HUB_OFFLINE or not _reachable(constants.ENDPOINT)
    bars = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        return Path(
            snapshot_download(
                place.repository, revision=revision, allow_patterns=patterns, local_files_only=bool(offline)
            )
        )
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{where}: no such directory here, not in the hub's cache, and {constants.ENDPOINT} cannot be reached; "
            "give a local directory, 'pkg:<package>/<path>', or a machine with a connection"
        ) from error
    except HFValidationError as error:
        raise ModelError(f"{where}: not a directory here and not a valid hub id") from error
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{where}: the hub answered: {reason}") from error
    finally:
        if bars:
            enable_progress_bars()


def _reachable(endpoint: str) -> bool:
    """Whether the hub's host takes connections; the client itself would retry for half a minute before saying no."""
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return True
    url = urlsplit(endpoint)
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        socket.create_connection((url.hostname or "", port), timeout=_TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True
