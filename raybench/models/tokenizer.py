"""A model's tokenizer, and the hash of all that decides what it makes of a text."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from raybench.core import ModelSpec
from raybench.core.errors import ModelError, summary
from raybench.core.file_hashes import hash_of_file
from raybench.core.identity import content_hash
from raybench.core.stamps import Stamp
from raybench.models.files import small_files, small_stamps, tokenizer_directory
from raybench.models.later_torch import import_configurations
from raybench.models.quiet import quiet
from raybench.models.saved_config import read_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["open_tokenizer", "tokenizer_hash"]

_CONFIGURATION = {"config.json", "generation_config.json", "preprocessor_config.json"}


def open_tokenizer(model: ModelSpec) -> PreTrainedTokenizerBase:
    """The candidate's tokenizer; opened once a process, as long as its files stay.

    Raises:
        ModelError: there is none where the candidate says, or it cannot be opened.
    """
    directory = tokenizer_directory(model)
    return _open(str(directory), small_stamps(directory))


@lru_cache(maxsize=8)
def _open(directory: str, stamps: tuple[Stamp, ...]) -> PreTrainedTokenizerBase:
    import_configurations()
    from transformers import AutoTokenizer

    if not _files(Path(directory)):
        raise ModelError(f"tokenizer {directory}: no tokenizer files there; name the tokenizer with 'tokenizer:'")
    try:
        with quiet():
            config = None
            with suppress(Exception):  # of a configuration that cannot be read AutoTokenizer makes what it can
                config = read_config(Path(directory))
            tokenizer = AutoTokenizer.from_pretrained(
                directory, config=config, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # what is in the files decides what transformers stumbles over
        raise ModelError(f"tokenizer {directory}: cannot be opened: {summary(error)}") from error
    longest = tokenizer.model_max_length
    if not isinstance(longest, int | float) or longest < 1:
        raise ModelError(f"tokenizer {directory}: model_max_length {longest!r}: want a number from 1")
    return tokenizer


def tokenizer_hash(model: ModelSpec) -> str:
    """The content of the tokenizer's files, wherever they lie."""
    directory = tokenizer_directory(model)
    return content_hash({str(path.relative_to(directory)): hash_of_file(path) for path in _files(directory)})


def _files(directory: Path) -> list[Path]:
    return [path for path in small_files(directory) if path.name not in _CONFIGURATION and path.parent == directory]
