"""What a candidate's weights are, by content: equal fingerprint, equal network, wherever the files lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raybench.core import ModelSpec
from raybench.core.errors import ModelError
from raybench.core.file_hashes import hash_of_file
from raybench.core.identity import content_hash
from raybench.models.configuration import from_scratch, open_config
from raybench.models.files import (
    model_directory,
    require_safe_weights,
    small_files,
    tokenizer_directory,
    weight_files,
)
from raybench.models.pictures import pictures_stamp
from raybench.models.tokenizer import tokenizer_hash

__all__ = ["weights_fingerprint", "weights_stamp"]

_OF_RELEASE = {"transformers_version"}  # of an architecture every other setting counts, defaults of the release too


def weights_fingerprint(model: ModelSpec) -> str:
    """The hash of weights, configuration, tokenizer and every field of the spec that changes what comes out.

    Weights that are random have none: their seed is the trial's.
    """
    asked = {
        "init": "scratch" if from_scratch(model) else "pretrained",
        "num_layers": model.num_layers,
        "config": dict(model.config),
        "pooling": model.pooling,
        "dtype": model.dtype,
        "compile": model.compile,
        "instruction": model.instruction,
    }
    content: dict[str, Any] = {"asked": asked}
    directory = model_directory(model)
    if directory is None:
        content["config"] = {k: v for k, v in open_config(model).to_dict().items() if k not in _OF_RELEASE}
    else:
        content["files"] = {str(p.relative_to(directory)): _hash(p) for p in small_files(directory)}
    if directory is not None and not from_scratch(model):
        require_safe_weights(model, directory)
        content["weights"] = {p.name: _hash(p) for p in weight_files(directory, allow_pickle=model.allow_pickle)}
    if model.tokenizer:
        content["tokenizer"] = tokenizer_hash(model)
    return content_hash(content)


def weights_stamp(model: ModelSpec) -> str:
    """What the file system says of the files in the fingerprint: an equal stamp, the same files, without reading them.

    "" where there are none: a baseline, a function that makes pictures, an architecture with the tokenizer it is given.
    """
    if model.images is not None:
        return pictures_stamp(model)
    directory = None if model.baseline is not None else model_directory(model)
    if directory is None:
        return ""
    paths = [*small_files(directory), *weight_files(directory, allow_pickle=model.allow_pickle)]
    if model.tokenizer:
        paths += small_files(tokenizer_directory(model))
    seen = [(path, path.resolve().stat()) for path in paths]
    return content_hash([[str(path), one.st_size, one.st_mtime_ns, one.st_ino] for path, one in seen])


def _hash(path: Path) -> str:
    try:
        return hash_of_file(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
