"""Which tokens begin, end, pad and stop what a checkpoint writes, and whether it can write at all."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import open_config
from raybench.models.files import model_directory, read_object
from raybench.models.special_ids import SpecialIds
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.language import is_causal

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["has_encoder", "language_token", "special_ids", "stop_ids", "tokenizer_between"]


def has_encoder(model: ModelSpec, config: PretrainedConfig) -> bool:
    """Whether it is an encoder with a decoder; False: a causal language model.

    Raises:
        IncompatibleError: it writes no text.
    """
    from transformers.models.auto import modeling_auto as auto

    kind = config.model_type
    if config.is_encoder_decoder and kind in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return True
    if is_causal(config):
        return False
    raise IncompatibleError(
        f"model {model.reference!r}: {kind} writes no text; text-generation needs an encoder–decoder (such as T5, "
        "Marian, BART) or a causal language model"
    )


def special_ids(model: ModelSpec) -> SpecialIds:
    """Those of the checkpoint; an architecture's are those of the tokenizer it is given.

    Raises:
        IncompatibleError: nothing says which token ends a text.
    """
    tokenizer: Any = open_tokenizer(model)
    said: list[dict[str, Any]] = []
    if not model.reference.startswith("arch:"):
        directory = model_directory(model, weights=False)
        saved = directory / "generation_config.json" if directory is not None else None
        said = [read_object(saved)] if saved is not None and saved.is_file() else []
        said.append(open_config(model).to_dict())

    def find(name: str) -> Any:
        return next((one[name] for one in said if one.get(name) is not None), None)

    ends = find("eos_token_id")
    if ends is None:
        ends = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    if ends is None:
        raise IncompatibleError(f"model {model.reference!r}: neither it nor its tokenizer says which token ends a text")
    listed = tuple(ends) if isinstance(ends, list | tuple) else (ends,)
    pads = (find("pad_token_id"), tokenizer.pad_token_id, listed[0])
    pad = next(one for one in pads if one is not None)
    starts = (find("decoder_start_token_id"), find("bos_token_id"), pad)
    return SpecialIds(pad=pad, ends=listed, start=next(one for one in starts if one is not None))


def language_token(model: ModelSpec, language: str) -> int | None:
    """The token that a decoder must begin with to write this language, as in mBART, NLLB and M2M100; None where unsaid.

    Raises:
        IncompatibleError: the tokenizer knows no such language.
    """
    if not language:
        return None
    tokenizer: Any = open_tokenizer(model)
    known = {**getattr(tokenizer, "lang_code_to_id", {}), **getattr(tokenizer, "lang_token_to_id", {})}
    for token in (language, f"__{language}__"):
        found = known.get(token, tokenizer.get_vocab().get(token))
        if found is not None:
            return int(found)
    raise IncompatibleError(f"model {model.reference!r}: its tokenizer has no token for the language {language!r}")


def stop_ids(model: ModelSpec, stop: str) -> tuple[int, ...]:
    """The tokens whose text holds `stop`: a text is over with them."""
    if not stop:
        return ()
    tokenizer: Any = open_tokenizer(model)
    texts = tokenizer.batch_decode([[number] for number in range(len(tokenizer))])
    return tuple(number for number, text in enumerate(texts) if stop in text)


def tokenizer_between(model: ModelSpec, source: str, target: str) -> Any:
    """The candidate's tokenizer, set to the languages."""
    opened: Any = open_tokenizer(model)
    given = {"src_lang": source, "tgt_lang": target}
    asked = {name: language for name, language in given.items() if language and hasattr(opened, name)}
    if asked:
        opened = copy.deepcopy(opened)  # others of the process use it
        for name, language in asked.items():
            setattr(opened, name, language)
    return opened
