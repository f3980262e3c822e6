"""What tasks of language models share: where a text begins, how much of it a model takes, what each token costs.

Shapes: W model rows, T positions, S scored tokens, V words of the vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import from_scratch, open_config
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.head_labels import saved_with_head
from raybench.tasks.text_inputs import num_positions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.language import LanguageNetwork
    from raybench.tasks.task import Batch, LossOptions

__all__ = [
    "Continuations",
    "Scored",
    "beginning",
    "check_causal",
    "check_own_words",
    "check_words",
    "context_length",
    "encode_after",
    "is_causal",
    "is_masked",
    "num_words",
    "padded_rows",
    "token_losses",
    "token_outcomes",
    "whole_fours",
    "words_loss",
]


class Scored(NamedTuple):
    """The tokens that a batch scores, by position: ids int64 [S], and on the host whose they are."""

    ids: torch.Tensor
    owner: np.ndarray  # int64 [S]: the example of the batch


class Continuations(NamedTuple):
    """Texts to score after others: token ids of the contexts [B] and of the continuations [W], on the host.

    `owner` int64 [W] says whose context each continues, in ascending order; every context has a token.
    """

    contexts: Sequence[np.ndarray]
    texts: Sequence[np.ndarray]
    owner: np.ndarray

    def of(self, first: int, last: int) -> Continuations:
        """Those of contexts [first, last)."""
        own = np.flatnonzero((self.owner >= first) & (self.owner < last))
        texts = [self.texts[index] for index in own.tolist()]
        return Continuations(self.contexts[first:last], texts, self.owner[own] - first)


def beginning(model: ModelSpec, *, always: bool) -> list[int]:
    """The ids that a text begins with by the model's convention: what its tokenizer itself puts there.

    `always` is for scoring a text's first token, which needs something before it: without a convention that is the
    token of the text's beginning, or else of its end (GPT-2's).

    Raises:
        IncompatibleError: `always`, and the tokenizer has neither.
    """
    tokenizer = open_tokenizer(model)
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    place = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), 0)
    if place or not always:
        return list(whole[:place])
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return [token]
    raise IncompatibleError(f"model {model.reference!r}: its tokenizer has no token that a text begins or ends with")


def context_length(model: ModelSpec, max_length: int) -> int:
    """How many positions a row has at most."""
    return int(min(max_length, num_positions(model) or max_length, open_tokenizer(model).model_max_length))


def encode_after(model: ModelSpec, contexts: Sequence[str], texts: Sequence[str]) -> list[tuple[list[int], list[int]]]:
    """Ids of each context and of the text after it: encoded together and cut where the context alone ends.

    Spaces at a context's end go to the text, where a tokenizer has them.
    """
    if not texts:
        return []
    tokenizer = open_tokenizer(model)
    bare = [context.rstrip() if text else context for context, text in zip(contexts, texts, strict=True)]
    whole = [context + text for context, text in zip(contexts, texts, strict=True)]
    distinct = {context: place for place, context in enumerate(dict.fromkeys(bare))}
    before = tokenizer(list(distinct), add_special_tokens=False, verbose=False)["input_ids"]
    ids = tokenizer(whole, add_special_tokens=False, verbose=False)["input_ids"]
    cuts = [len(before[distinct[context]]) for context in bare]
    # a tokenizer that adds nothing to a longer text than to its beginning would leave the text without a token
    return [
        (before[distinct[context]], row[min(cut, len(row) - 1) :] if text else [])
        for context, text, row, cut in zip(bare, texts, ids, cuts, strict=True)
    ]


def num_words(text: str) -> int:
    """Words of the raw text: what stands between white space."""
    return len(re.findall(r"\S+", text))


def whole_fours(length: int) -> int:
    """The width that rows of this length are padded to, at least 4; for batches whose width no plan has fixed."""
    return max(4, -(-length // 4) * 4)


def padded_rows(rows: Sequence[np.ndarray], width: int, pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """int64 [W, width] of ids, padded on the right, and of their mask."""
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return ids, mask


def token_losses(network: LanguageNetwork, inputs: dict[str, torch.Tensor], ids_S: torch.Tensor) -> np.ndarray:
    """−ln p of each scored token, float64 [S] on the host; a few model rows at a time."""
    import torch

    from raybench.metrics.records import token_nll

    parts = []
    for some, own_S in _in_parts(network, inputs, ids_S):
        found_S = network.losses(some, own_S)
        parts.append(token_nll(network(some), own_S) if found_S is None else found_S)
    return torch.cat(parts).double().cpu().numpy()


def token_outcomes(
    network: LanguageNetwork, inputs: dict[str, torch.Tensor], ids_S: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """−ln p of each scored token, float64 [S] on the host, and whether it is the likeliest, bool [S]."""
    import torch

    from raybench.metrics.records import token_nll

    nll, right = [], []
    for some, own_S in _in_parts(network, inputs, ids_S):
        logits_SV = network(some)
        nll.append(token_nll(logits_SV, own_S))
        right.append(logits_SV.argmax(dim=-1) == own_S)
    return torch.cat(nll).double().cpu().numpy(), torch.cat(right).cpu().numpy()


def _in_parts(
    network: LanguageNetwork, inputs: dict[str, torch.Tensor], ids_S: torch.Tensor
) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
    """Inputs of a few model rows at a time and the tokens that are scored there."""
    import torch

    from raybench.models.language import forward_chunks

    positions_S = inputs["positions"]
    num_rows, width = inputs["input_ids"].shape
    vocabulary = network.backbone.config.get_text_config().vocab_size  # type: ignore[union-attr, operator]
    for start, stop in forward_chunks(num_rows, width, vocabulary, positions_S.device):
        bounds = torch.tensor([start * width, stop * width], device=positions_S.device)
        first, last = torch.searchsorted(positions_S, bounds).tolist()
        some = {name: value[start:stop] for name, value in inputs.items() if name != "positions"}
        yield {**some, "positions": positions_S[first:last] - start * width}, ids_S[first:last]


def words_loss(outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
    """The sum of −ln p over a batch's scored tokens."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs, batch.targets.ids, label_smoothing=options.label_smoothing, reduction="sum")


def is_causal(config: PretrainedConfig) -> bool:
    """Whether the architecture reads from left to right and predicts words."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not is_masked(config)


def is_masked(config: PretrainedConfig) -> bool:
    """Whether the architecture sees what stands before and after a word, and predicts words."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    return config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)


def check_causal(task: str, model: ModelSpec, config: PretrainedConfig) -> None:
    """IncompatibleError unless the architecture is causal."""
    if not is_causal(config):
        why = "sees what comes after a word" if is_masked(config) else "predicts no next word"
        raise IncompatibleError(
            f"model {model.reference!r}: {config.model_type} {why}; {task} needs a causal language model, such as gpt2 "
            "or llama"
        )


def check_words(model: ModelSpec, config: PretrainedConfig, suffixes: tuple[str, ...], *, tied: bool = True) -> None:
    """IncompatibleError for a checkpoint that was saved without its head of words, which no method would draw anew.

    `tied`: where the output's words are the input's, nothing else is needed.
    """
    shared = tied and getattr(config, "tie_word_embeddings", False)
    if from_scratch(model) or shared or not config.architectures:
        return
    if not any(saved_with_head(config, suffix) for suffix in suffixes):
        raise IncompatibleError(
            f"model {model.reference!r}: saved as {config.architectures[0]}, without a head of words; want one saved "
            f"as …{suffixes[0]}, or init: scratch"
        )


def check_own_words(model: ModelSpec, suffixes: tuple[str, ...], *, tied: bool = True) -> None:
    """IncompatibleError where the checkpoint has no trained words to score as it is; `tied` as in `check_words`."""
    config = open_config(model)
    shared = tied and getattr(config, "tie_word_embeddings", False)
    if from_scratch(model) or not (shared or any(saved_with_head(config, suffix) for suffix in suffixes)):
        saved_as = "random weights" if from_scratch(model) else (config.architectures or [config.model_type])[0]
        raise IncompatibleError(
            f"model {model.reference!r}: no trained head of words to score as it is ({saved_as}); "
            "a method that fits, such as full, would train it"
        )
