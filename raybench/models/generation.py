"""Networks that write texts: an encoder and a decoder, or a decoder alone, with the head they were saved with.

    logits_SV = network(inputs)                  # of the reference's tokens, teacher-forced, no padding among them
    nll_B = network.reference_nll(inputs)
    ids = write(network, inputs)                 # models/writing.py: each row up to its end or the limit

Inputs: input_ids and attention_mask [B, P], labels [B, T] with −100 where a row has no more. An encoder's rows are
padded on the right; a decoder's prompts are padded on the left and have positions of their own, so that every row goes
on from its last token. Shapes: B rows, P positions of the source or prompt, T of the target, S labels in row order,
V words, H features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.layers import find_stacks
from raybench.models.network import CheckpointNetwork
from raybench.models.special_ids import SpecialIds

__all__ = ["IGNORED", "GenerationNetwork", "Writing", "encoded"]

IGNORED = -100  # a label that is none
_MOST_LOGITS = 2**25  # numbers of logits held at once while references are scored: 128 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How a text is written; `stops` are tokens that end it beside those of the checkpoint."""

    max_new_tokens: int
    min_new_tokens: int = 0
    num_beams: int = 1
    length_penalty: float = 1.0
    forced_first: int | None = None  # such as the token of a language
    stops: tuple[int, ...] = ()


class GenerationNetwork(CheckpointNetwork):
    """A checkpoint that writes. `features` are the float32 logits [S, V] of the reference's tokens.

    `positions` is how many a row has at most, None without a limit.
    """

    def __init__(
        self, model: nn.Module, special: SpecialIds, writing: Writing, spec: ModelSpec, positions: int | None
    ) -> None:
        super().__init__(model, None)
        self.special, self.writing, self.positions = special, writing, positions
        self.spec = spec  # the tokenizer that reads what is written is the candidate's
        config: Any = model.config
        self.has_encoder = bool(config.is_encoder_decoder)
        self.prompted_as = "SEQ_2_SEQ_LM" if self.has_encoder else "CAUSAL_LM"
        self.cache_name = "cache" if "cache" in self._accepts else "past_key_values"  # before transformers 5.24
        generation: Any = model.generation_config
        for settings in (config, generation):
            settings.pad_token_id = special.pad
            settings.eos_token_id = list(special.ends) if len(special.ends) > 1 else special.ends[0]
            if self.has_encoder:
                settings.decoder_start_token_id = special.start

    @property
    def ends(self) -> tuple[int, ...]:
        """Tokens that end a text."""
        return (*self.special.ends, *self.writing.stops)

    @property
    def base(self) -> Any:
        """The transformers model inside whatever was put around it."""
        module: Any = self.backbone
        return module.get_base_model() if hasattr(module, "get_base_model") else module

    @property
    def learned(self) -> Any:
        """peft's model around the base, where it has learned positions; else None."""
        around: Any = self.backbone
        return around if getattr(around, "active_peft_config", None) is not None else None

    @property
    def num_ahead(self) -> int:
        """Learned positions before those of a decoder's row."""
        if self.learned is None or self.has_encoder:
            return 0
        return int(self.learned.active_peft_config.num_virtual_tokens)

    def head_parameters(self) -> list[nn.Parameter]:
        """What follows the last block; where nothing does, the layer of words, though it may be the embeddings too.

        None with learned positions: these are all that is trained.
        """
        if self.learned is not None:
            return []
        words = list(self.base.get_output_embeddings().parameters())
        listed = list(self.base.parameters())
        try:
            inside = {id(parameter) for parameter in find_stacks(self.base)[-1][-1].parameters()}
        except IncompatibleError:
            return words
        last = max(place for place, parameter in enumerate(listed) if id(parameter) in inside)
        own = {id(parameter) for parameter in words}
        return [parameter for parameter in listed[last + 1 :] if id(parameter) not in own] or words

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        labels = inputs["labels"]
        is_told, width = labels != IGNORED, labels.shape[1]
        if self.has_encoder:
            given = {**self.source(inputs), "decoder_input_ids": self._shifted(labels)}
            return self._logits(lambda: self.backbone(**given, use_cache=False), lambda hidden: hidden[is_told])
        ids = torch.cat([inputs["input_ids"], labels.masked_fill(~is_told, self.special.pad)], dim=1)
        mask = torch.cat([inputs["attention_mask"], is_told.long()], dim=1)
        return self._logits(
            lambda: self.read(ids, mask, use_cache=False, keep=width + 1),
            lambda hidden: hidden[:, -width - 1 : -1][is_told],
        )

    def _logits(self, call: Callable[[], Any], take: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """float32 [S, V]: the layer of words is given what `take` takes of [B, …, H] alone; it is most of the work."""

        def before(layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            return (take(arguments[0])[None], *arguments[1:])

        handle = self.base.get_output_embeddings().register_forward_pre_hook(before)
        try:
            logits: torch.Tensor = call().logits[0]
        finally:
            handle.remove()
        return logits.float()

    def encode(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The inputs, with what the encoder makes of them beside, for all that reads the same source."""
        if not (self.has_encoder and self._is_bare):  # learned positions go in front of the encoder
            return dict(inputs)
        given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        return {**inputs, "encoded": self.base.get_encoder()(**given).last_hidden_state}

    @property
    def _is_bare(self) -> bool:
        return self.base is self.backbone

    def source(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """What a model with an encoder is given beside the decoder's ids."""
        if "encoded" in inputs:
            return {"encoder_outputs": encoded(inputs["encoded"]), "attention_mask": inputs["attention_mask"]}
        return {name: inputs[name] for name in ("input_ids", "attention_mask")}

    def read(self, ids: torch.Tensor, mask: torch.Tensor, *, keep: int = 0, **options: Any) -> Any:
        """A decoder alone reads whole rows `ids` [B, L] with their `mask`; what was learned stands before them.

        peft would leave out positions, by which rows that are padded on the left go on from their last token.
        """
        module: Any = self.backbone
        given: dict[str, Any] = {"input_ids": ids}
        if self.learned is not None:
            module, peft = self.base, self.learned
            learned = peft.get_prompt(len(ids))
            if peft.active_peft_config.peft_type == "PREFIX_TUNING":
                given[self.cache_name] = learned
            else:
                words = peft.word_embeddings(ids)
                given = {"inputs_embeds": torch.cat([learned.to(words.dtype), words], dim=1)}
            mask = torch.cat([mask.new_ones((len(mask), self.num_ahead)), mask], dim=1)
        length = next(iter(given.values())).shape[1]
        return self.forward_at(module, mask, length, keep=keep, **given, **options)

    def forward_at(self, module: Any, mask: torch.Tensor, length: int, *, keep: int = 0, **options: Any) -> Any:
        """A pass over the last `length` positions of `mask`, numbered by what of it is no padding."""
        if self.positions is not None and mask.shape[1] > self.positions and self.num_ahead:
            raise IncompatibleError(
                f"model {self.spec.reference!r}: {self.positions} positions, fewer than {self.num_ahead} learned ones "
                f"and a text of {mask.shape[1] - self.num_ahead}; a smaller num_tokens or max_length would do"
            )
        if "position_ids" in self._accepts:
            options["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -length:]
        if keep and "logits_to_keep" in self._accepts:
            options["logits_to_keep"] = keep
        return module(attention_mask=mask, **options)

    def _shifted(self, labels: torch.Tensor) -> torch.Tensor:
        """What the decoder is given to write `labels`."""
        if hasattr(self.base, "prepare_decoder_input_ids_from_labels"):
            shifted: torch.Tensor = self.base.prepare_decoder_input_ids_from_labels(labels=labels)
            return shifted
        start = labels.new_full((len(labels), 1), self.special.start)
        return torch.cat([start, labels[:, :-1].masked_fill(labels[:, :-1] == IGNORED, self.special.pad)], dim=1)

    def reference_nll(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """−ln p of each row's labels, summed, float64 [B]; rows in pieces, so that little of the logits is held."""
        labels = inputs["labels"]
        size = max(1, _MOST_LOGITS // (labels.shape[1] * self.base.config.get_text_config(decoder=True).vocab_size))
        total_B = torch.zeros(len(labels), dtype=torch.float64, device=labels.device)
        for start in range(0, len(labels), size):
            some = labels[start : start + size]
            logits_SV = self({name: value[start : start + size] for name, value in inputs.items()})
            nll_S = nn.functional.cross_entropy(logits_SV, some[some != IGNORED], reduction="none")
            total_B.index_add_(0, start + (some != IGNORED).nonzero()[:, 0], nll_S.double())
        return total_B


def encoded(hidden: torch.Tensor) -> Any:
    """An encoder's outputs as a decoder takes them."""
    from transformers.modeling_outputs import BaseModelOutput

    return BaseModelOutput(last_hidden_state=hidden)
