"""How a checkpoint turns sound into text: by its own letters, by writing, or by a fresh head of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import open_config
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.generation_ids import special_ids
from raybench.tasks.head_labels import saved_with_head
from raybench.tasks.letters import Alphabet, ByteAlphabet, OwnAlphabet

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["Kind", "alphabet_of", "kind_of", "transcript_tokens"]

Kind = Literal["letters", "writer", "bytes"]
_HEADS = ("ForCTC",)
_ROOM = 4  # tokens before a transcript: start, language, task, no timestamps
_POSITIONS = ("max_target_positions", "max_position_embeddings")


def kind_of(model: ModelSpec, config: PretrainedConfig) -> Kind:
    """Which of them.

    Raises:
        IncompatibleError: it reads sounds and a text beside them, which nobody wrote.
    """
    from transformers.models.auto import modeling_auto as auto

    if saved_with_head(config, _HEADS):
        return "letters"
    writes = config.model_type in auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES
    if writes and not (model.reference.startswith("arch:") and not model.tokenizer):
        if not config.is_encoder_decoder:
            raise IncompatibleError(
                f"model {model.reference!r}: {config.model_type} wants a prompt in words beside the sound; "
                "speech-recognition needs CTC, or an encoder with a decoder such as Whisper"
            )
        return "writer"
    return "bytes"


def alphabet_of(model: ModelSpec) -> Alphabet:
    """The letters of a network that puts out letters."""
    if kind_of(model, open_config(model)) == "bytes":
        return ByteAlphabet()
    return OwnAlphabet(open_tokenizer(model))


def transcript_tokens(texts: list[str], model: ModelSpec) -> list[list[int]]:
    """What a network that writes is taught, its end included; cut where the decoder has no more positions."""
    config, tokenizer = open_config(model), open_tokenizer(model)
    glue = " " if config.model_type == "whisper" else ""  # it was trained on texts that begin so
    most = next((size for name in _POSITIONS if (size := getattr(config, name, None))), None)
    end = special_ids(model).ends[0]

    def encode(text: str) -> list[int]:
        tokens: Any = tokenizer(glue + text.strip(), add_special_tokens=False, verbose=False)
        ids: list[int] = [*tokens["input_ids"], end]
        return ids if most is None else ids[: most - _ROOM]

    return [encode(text) for text in texts]
