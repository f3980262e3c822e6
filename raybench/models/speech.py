"""Networks that write what they hear: an encoder of windows of sound and a decoder, with the head they were saved with.

    logits_SV = network(inputs)              # of the transcripts' tokens, teacher-forced, no padding among them
    ids, at_limit = network.write(inputs)    # of each window

Whisper's windows are encoded each by itself and written together, greedily, with rows leaving at their end; other
architectures, and beams, are transformers' own `generate`, a window at a time.
Inputs are those of `raybench.models.audio`, and `labels` int64 [B, T] with −100 where a row has no more. A transcript
says nothing of where its words stand, so of an example of several windows nothing is learned.
Shapes: R windows, B examples, P positions, T tokens, S labels in row order, V words.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.audio import hear
from raybench.models.audio_processor import AudioProcessor
from raybench.models.generation import IGNORED, encoded
from raybench.models.network import CheckpointNetwork
from raybench.models.writing import greedy_search

__all__ = ["Dictation", "OtherSpeech", "Speech", "Whisper", "Written"]

Inputs = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictation:
    """How a transcript is written; `language` is Whisper's name or code of one, "": the model finds it out."""

    max_new_tokens: int
    num_beams: int = 1
    language: str = ""


class Written(NamedTuple):
    """Tokens of each window, without those before and behind the text, and whether it reached the limit."""

    ids: list[list[int]]
    at_limit: list[bool]


class Speech(CheckpointNetwork):
    """A checkpoint that writes. `features` are the float32 logits [S, V] of the transcripts' tokens."""

    rows_alone = True
    prompted_as = ""

    def __init__(self, model: nn.Module, spec: ModelSpec, processor: AudioProcessor, dictation: Dictation) -> None:
        super().__init__(model, None)
        self.spec, self.processor, self.dictation = spec, processor, dictation

    @abstractmethod
    def write(self, inputs: Inputs) -> Written: ...

    def _taught(self, inputs: Inputs) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Inputs of the examples of one window alone, and their labels; of one at least."""
        single = (inputs["counts"] == 1).nonzero()[:, 0]
        first = torch.cumsum(inputs["counts"], 0) - inputs["counts"]
        places = first[single].to(inputs["features"].device)
        labels = inputs["labels"][single.to(inputs["labels"].device)]
        kept = {name: inputs[name][places] for name in ("features", "sizes")}
        return {**kept, "counts": torch.ones(len(places), dtype=torch.long)}, labels

    def _until(self, rows: list[list[int]], ends: set[int]) -> Written:
        """Each row up to its end."""
        places = [next((place for place, token in enumerate(row) if token in ends), None) for row in rows]
        return Written([row[:place] for row, place in zip(rows, places, strict=True)], [p is None for p in places])


class Whisper(Speech):
    """Whisper's prompt (start, language, task, no timestamps) and its lists of tokens that are never written."""

    def __init__(
        self, model: Any, spec: ModelSpec, processor: AudioProcessor, dictation: Dictation, no_timestamps: int
    ) -> None:
        super().__init__(model, spec, processor, dictation)
        self._settings: Any = model.generation_config
        self._no_timestamps = getattr(self._settings, "no_timestamps_token_id", None) or no_timestamps

    @property
    def ends(self) -> list[int]:
        """Tokens that end a text."""
        ends = self._settings.eos_token_id
        return list(ends) if isinstance(ends, list | tuple) else [int(ends)]

    def features(self, inputs: Inputs) -> torch.Tensor:
        taught, labels = self._taught(inputs)
        model: Any = self.backbone
        if not len(labels):
            return model.proj_out(self._encode(inputs)[:0, 0]).float()
        hidden = self._encode(taught)
        prompt = self._prompt(hidden)
        end = self.ends[0]
        given = torch.cat([prompt, labels.masked_fill(labels == IGNORED, end)[:, :-1]], dim=1)
        read = model.model(encoder_outputs=encoded(hidden), decoder_input_ids=given, use_cache=False)
        told = read.last_hidden_state[:, prompt.shape[1] - 1 :][labels != IGNORED]
        return model.proj_out(told).float()

    def write(self, inputs: Inputs) -> Written:
        hidden = self._encode(inputs)
        prompt = self._prompt(hidden)
        config: Any = self.backbone.config
        limit = min(self.dictation.max_new_tokens, int(config.max_target_positions) - prompt.shape[1])
        if self.dictation.num_beams > 1:
            return self._beams(hidden, prompt, limit)
        rows = greedy_search(
            _Rows(self.backbone, hidden, prompt, self._cache_name),
            len(hidden),
            ends=self.ends,
            max_new_tokens=limit,
            barred=self._settings.suppress_tokens or (),
            barred_first=self._settings.begin_suppress_tokens or (),
        )
        return self._until(rows, set(self.ends))

    @property
    def _cache_name(self) -> str:
        return "cache" if "cache" in self._accepts else "past_key_values"  # before transformers 5.24

    def _encode(self, inputs: Inputs) -> torch.Tensor:
        """[R, P, H]."""
        encoder = self.backbone.get_encoder()  # type: ignore[operator]
        dtype = next(encoder.parameters()).dtype

        def call(input_features: torch.Tensor) -> torch.Tensor:
            return encoder(input_features.to(dtype)).last_hidden_state

        return hear(call, encoder, inputs, self.processor).values

    def _prompt(self, hidden: torch.Tensor) -> torch.Tensor:
        """int64 [R, 2 or 4]."""
        settings, count = self._settings, len(hidden)
        start = torch.full((count, 1), settings.decoder_start_token_id, device=hidden.device)
        last = torch.full_like(start, self._no_timestamps)
        languages: dict[str, int] | None = getattr(settings, "lang_to_id", None)
        if not languages:
            return torch.cat([start, last], dim=1)
        asked = self.dictation.language or getattr(settings, "language", None)
        if asked:
            language = torch.full_like(start, self._language(asked, languages))
        else:
            with torch.no_grad():
                model: Any = self.backbone
                heard = model(encoder_outputs=encoded(hidden), decoder_input_ids=start, use_cache=False).logits[:, -1]
                ids = torch.tensor(sorted(languages.values()), device=hidden.device)
                language = ids[heard[:, ids].argmax(dim=-1)][:, None]
        task = torch.full_like(start, settings.task_to_id[getattr(settings, "task", None) or "transcribe"])
        return torch.cat([start, language, task, last], dim=1)

    def _language(self, asked: str, languages: Mapping[str, int]) -> int:
        from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

        code = TO_LANGUAGE_CODE.get(asked.lower(), asked.lower()).removeprefix("<|").removesuffix("|>")
        if f"<|{code}|>" not in languages:
            known = ", ".join(sorted(name[2:-2] for name in languages))
            raise IncompatibleError(f"task_config.language {asked!r}: this model writes {known}")
        return languages[f"<|{code}|>"]

    def _beams(self, hidden: torch.Tensor, prompt: torch.Tensor, limit: int) -> Written:
        """transformers' search, each window by itself; it leaves out the prompt, and mostly the end."""
        model: Any = self.backbone
        rows = []
        for window, before in zip(hidden.split(1), prompt.split(1), strict=True):
            config = copy.deepcopy(self._settings)
            config.update(max_length=None, max_new_tokens=limit, num_beams=self.dictation.num_beams, do_sample=False)
            written = model.generate(
                encoder_outputs=encoded(window), decoder_input_ids=before, generation_config=config
            )
            rows.append(written[0].tolist())
        texts = self._until(rows, set(self.ends)).ids
        return Written(texts, [len(row) >= limit for row in texts])


class _Rows:
    """Windows on their way: what was written of each so far as a cache, and the logits of what comes next."""

    def __init__(self, model: Any, hidden: torch.Tensor, prompt: torch.Tensor, cache_name: str) -> None:
        self._model, self._hidden, self._name = model, hidden, cache_name
        self._cache: Any = None
        self.logits = self._read(prompt)

    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        given = {} if self._cache is None else {self._name: self._cache}
        out = self._model(encoder_outputs=encoded(self._hidden), decoder_input_ids=ids, use_cache=True, **given)
        self._cache = getattr(out, self._name)
        logits: torch.Tensor = out.logits
        return logits

    def keep(self, places: torch.Tensor) -> None:
        self._cache.batch_select_indices(places)
        self._hidden = self._hidden[places]

    def step(self, chosen_R: torch.Tensor) -> None:
        self.logits = self._read(chosen_R[:, None])


class OtherSpeech(Speech):
    """Any other encoder with a decoder (Speech2Text, Moonshine …)."""

    def features(self, inputs: Inputs) -> torch.Tensor:
        taught, labels = self._taught(inputs)
        model: Any = self.backbone
        parts = []
        for row, own in enumerate(labels):
            told = own[own != IGNORED][None]
            parts.append(model(**self._window(taught, row), labels=told).logits[0].float())
        if not parts:  # nothing of this batch is learned of
            start = labels.new_zeros((1, 1))
            parts.append(model(**self._window(inputs, 0), decoder_input_ids=start).logits[0, :0].float())
        return torch.cat(parts)

    def write(self, inputs: Inputs) -> Written:
        model: Any = self.backbone
        limit, ends = self.dictation.max_new_tokens, self._ends()
        rows = []
        for row in range(len(inputs["sizes"])):
            given = self._window(inputs, row)
            written = model.generate(**given, max_new_tokens=limit, num_beams=self.dictation.num_beams, do_sample=False)
            rows.append(written[0].tolist()[1:])
        return self._until(rows, ends)

    def _ends(self) -> set[int]:
        settings: Any = self.backbone.generation_config
        ends = settings.eos_token_id
        return set(ends) if isinstance(ends, list | tuple) else {int(ends)}

    def _window(self, inputs: Inputs, row: int) -> dict[str, torch.Tensor]:
        """One window as the model takes it."""
        own = inputs["features"][row : row + 1]
        if not self.processor.fixed:
            own = own[:, : int(inputs["sizes"][row])]
        dtype = next(self.backbone.parameters()).dtype
        mask = torch.ones(own.shape[:2], dtype=torch.long, device=own.device)
        given = {self.processor.input_name: own.to(dtype)}
        return {**given, "attention_mask": mask} if self.processor.masked else given
