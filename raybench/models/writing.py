"""Texts that a network writes, row by row of a batch.

    ids = write(network, inputs)     # the token that ended a row included; without one the limit was reached

Greedy search is a loop of our own: rows that are done leave the batch and its cache, and nothing is computed for a row
beyond its end. Beams, and whatever else a checkpoint's generation config asks for, are transformers' own `generate`.
Shapes: B rows of the batch, R of them still open, V words.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from raybench.core.errors import IncompatibleError
from raybench.models.generation import GenerationNetwork, Writing, encoded

__all__ = ["Rows", "greedy_search", "write"]

_LEAVE = 16  # rows that are done leave when they are a sixteenth of the batch: a copy of the cache costs half a step
# of a generation config, what greedy search does by itself or does not read; anything else is left to transformers
_KNOWN = {
    "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "forced_bos_token_id",
    "forced_eos_token_id", "bad_words_ids", "suppress_tokens", "max_length", "max_new_tokens", "min_length",
    "min_new_tokens", "num_beams", "length_penalty", "early_stopping", "do_sample", "temperature", "top_k", "top_p",
    "use_cache", "cache_implementation", "transformers_version", "renormalize_logits", "num_return_sequences",
    "output_attentions", "output_hidden_states", "output_scores", "output_logits", "prefix", "chat_format",
    "_from_model_config",
}  # fmt: skip


def write(network: GenerationNetwork, inputs: Mapping[str, torch.Tensor]) -> list[list[int]]:
    """Ids of what is written for each row, by the network's `writing`.

    Raises:
        IncompatibleError: beams after a learned prefix, which `generate` of transformers 5.24 leaves out of its cache.
    """
    if network.writing.num_beams == 1 and _is_plain(network.base.generation_config):
        return _greedy(network, inputs)
    return _by_transformers(network, inputs)


def _is_plain(config: Any) -> bool:
    asked = config.to_diff_dict()
    if any(len(words) != 1 for words in asked.get("bad_words_ids") or ()):
        return False
    return not {name for name, value in asked.items() if value is not None} - _KNOWN


def _greedy(network: GenerationNetwork, inputs: Mapping[str, torch.Tensor]) -> list[list[int]]:
    writing, config = network.writing, network.base.generation_config
    barred = [words[0] for words in config.bad_words_ids or () if words[0] not in network.special.ends]
    forced = writing.forced_first
    if forced is None and network.has_encoder:
        forced = config.forced_bos_token_id
    return greedy_search(
        _Rows(network, inputs),
        len(inputs["input_ids"]),
        ends=network.ends,
        # an end that is forced at the last step is none of the row's own
        max_new_tokens=writing.max_new_tokens - (config.forced_eos_token_id is not None),
        min_new_tokens=writing.min_new_tokens,
        barred=[*barred, *(config.suppress_tokens or ())],
        forced_first=forced,
    )


class Rows(Protocol):
    """Rows on their way, as `greedy_search` drives them."""

    @property
    def logits(self) -> torch.Tensor:
        """Of what comes next, [R, ≥ 1, V]; the last position counts."""

    def keep(self, places: torch.Tensor) -> None:
        """Only these rows go on."""

    def step(self, chosen_R: torch.Tensor) -> None:
        """Take one more token a row."""


def greedy_search(
    rows: Rows,
    count: int,
    *,
    ends: Sequence[int],
    max_new_tokens: int,
    min_new_tokens: int = 0,
    barred: Sequence[int] = (),
    barred_first: Sequence[int] = (),
    forced_first: int | None = None,
) -> list[list[int]]:
    """The likeliest token at each step, for each of `count` rows up to one of `ends` or the limit.

    `barred` tokens are never written, `barred_first` not as the first.
    """
    device = rows.logits.device
    barred_ends = torch.tensor(sorted(set(ends)), device=device)
    never = torch.tensor(list(barred), dtype=torch.long, device=device)
    written: list[list[int]] = [[] for _ in range(count)]
    owner = list(range(count))  # whose each row still in the batch is
    is_open = [True] * count
    for step in range(max_new_tokens):
        logits_RV = rows.logits[:, -1].float()
        if barred:
            logits_RV[:, never] = float("-inf")
        if step < min_new_tokens:
            logits_RV[:, barred_ends] = float("-inf")
        if step == 0 and barred_first:
            logits_RV[:, list(barred_first)] = float("-inf")
        chosen = logits_RV.argmax(dim=-1)
        if step == 0 and forced_first is not None:
            chosen = torch.full_like(chosen, forced_first)
        for place, token in enumerate(chosen.tolist()):  # the one wait for the device a step
            if is_open[place]:
                written[owner[place]].append(token)
                is_open[place] = token not in ends
        still = [place for place, open_ in enumerate(is_open) if open_]
        if step + 1 == max_new_tokens or not still:
            break
        if (len(owner) - len(still)) * _LEAVE >= len(owner):
            owner, is_open = [owner[place] for place in still], [True] * len(still)
            places = torch.tensor(still, device=device)
            chosen = chosen[places]
            rows.keep(places)
        rows.step(chosen)
    return written


class _Rows:
    """Rows on their way: what was read and written so far as a cache, and the logits of what comes next."""

    def __init__(self, network: GenerationNetwork, inputs: Mapping[str, torch.Tensor]) -> None:
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        self._network, self._hidden = network, None
        if network.has_encoder:
            start = ids.new_full((len(ids), 1), network.special.start)
            first = network.backbone(**network.source(inputs), decoder_input_ids=start, use_cache=True)
            self._hidden = first.encoder_last_hidden_state
            num_ahead = self._hidden.shape[1] - mask.shape[1]
        else:
            first = network.read(ids, mask, use_cache=True, keep=1)
            num_ahead = network.num_ahead
        self._mask = torch.cat([mask.new_ones((len(mask), num_ahead)), mask], dim=1)
        self.logits, self._cache = first.logits, getattr(first, network.cache_name)

    def keep(self, places: torch.Tensor) -> None:
        """Only these rows go on."""
        self._cache.batch_select_indices(places)
        self._mask = self._mask[places]
        if self._hidden is not None:
            self._hidden = self._hidden[places]

    def step(self, chosen_R: torch.Tensor) -> None:
        """Take one more token a row."""
        base, cache = self._network.base, {self._network.cache_name: self._cache, "use_cache": True}
        if self._hidden is None:
            self._mask = torch.cat([self._mask, self._mask.new_ones((len(self._mask), 1))], dim=1)
            out = self._network.forward_at(base, self._mask, 1, input_ids=chosen_R[:, None], **cache)
        else:
            given = {"encoder_outputs": encoded(self._hidden), "attention_mask": self._mask}
            out = base(**given, decoder_input_ids=chosen_R[:, None], **cache)
        self.logits, self._cache = out.logits, getattr(out, self._network.cache_name)


def _by_transformers(network: GenerationNetwork, inputs: Mapping[str, torch.Tensor]) -> list[list[int]]:
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    module: Any = network.base
    first = 1 if network.has_encoder else ids.shape[1]
    if network.learned is not None and network.learned.active_peft_config.peft_type == "PREFIX_TUNING":
        raise IncompatibleError(
            f"model {network.spec.reference!r}: with a learned prefix it writes greedily alone; num_beams: 1, or "
            "prompt_tuning or lora, would do"
        )
    if network.learned is not None and network.has_encoder:
        module = network.learned
    elif network.learned is not None:
        words = network.learned.word_embeddings(ids)
        learned = network.learned.get_prompt(len(ids)).to(words.dtype)
        mask = torch.cat([mask.new_ones((len(mask), network.num_ahead)), mask], dim=1)
        given, first = {"inputs_embeds": torch.cat([learned, words], dim=1), "attention_mask": mask}, 0
    written = module.generate(**given, generation_config=_generation_config(network))
    ends = set(network.ends)
    return [_until(row, ends) for row in written[:, first:].tolist()]


def _generation_config(network: GenerationNetwork) -> Any:
    """The checkpoint's own with the task's lengths and beams, without sampling."""
    writing: Writing = network.writing
    config = copy.deepcopy(network.base.generation_config)
    beams = writing.num_beams > 1
    config.update(
        num_beams=writing.num_beams,
        do_sample=False,
        temperature=None,
        top_k=None,
        top_p=None,
        max_length=None,
        min_length=None,
        max_new_tokens=writing.max_new_tokens,
        min_new_tokens=writing.min_new_tokens or None,
        length_penalty=writing.length_penalty if beams else None,
        early_stopping=config.early_stopping if beams else None,
        eos_token_id=list(network.ends),
    )
    if writing.forced_first is not None:
        config.forced_bos_token_id = writing.forced_first
    return config


def _until(ids: list[int], ends: set[int]) -> list[int]:
    """The ids up to the first end, which is kept."""
    return next((ids[: place + 1] for place, token in enumerate(ids) if token in ends), ids)
