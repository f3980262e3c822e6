"""prompted-classification: which label's words a language model finds likeliest in a template around the text."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import Field, field_validator

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import DataError, IncompatibleError
from raybench.models.configuration import open_config
from raybench.models.tokenizer import open_tokenizer, tokenizer_hash
from raybench.tasks.causal_lm import CAUSAL_HEADS
from raybench.tasks.choice_words import (
    ContinuationExamples,
    Continued,
    choice_scores,
    continuation_columns,
    summed_scores,
)
from raybench.tasks.language import check_own_words, check_words, context_length, is_causal, is_masked
from raybench.tasks.mask_prompts import LabelWords, MaskPrompts, label_words, mask_prompt_columns, masked_scores
from raybench.tasks.mask_rows import MASKED_HEADS, check_masked
from raybench.tasks.prompt_texts import ANSWER, FIELDS, Shown, asked_rows, num_pieces, texts_of
from raybench.tasks.rows import single_chunk
from raybench.tasks.shots import ShotOptions, shots_from
from raybench.tasks.single_label import SingleLabel
from raybench.tasks.task import Batch, LossOptions
from raybench.tasks.templates import fields_of, wrong_field
from raybench.tasks.text import TEXT_COLUMNS, plain_rows
from raybench.tasks.text_inputs import longest_input, num_positions
from raybench.tasks.threshold import ThresholdOptions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["PromptedClassification", "PromptedOptions"]


class PromptedOptions(ShotOptions, ThresholdOptions):
    """How a model is asked for a label in words."""

    template: str = Field(
        default="{text}\nTopic: {answer}",
        description="names {text}, {text_pair} and, once, {answer}, where a label's words stand",
    )
    verbaliser: dict[str, str] = Field(
        default_factory=dict, description="label → its words, where its name says little"
    )

    @field_validator("template")
    @classmethod
    def _known(cls, template: str) -> str:
        if (reason := wrong_field(template, (*FIELDS, "answer"))) is not None:
            raise ValueError(reason)
        if fields_of(template).count("answer") != 1:
            raise ValueError(f"wants {ANSWER} once, where a label's words stand")
        return template

    @field_validator("verbaliser")
    @classmethod
    def _words(cls, verbaliser: dict[str, str]) -> dict[str, str]:
        empty = [label for label, words in verbaliser.items() if not words.strip()]
        if empty:
            raise ValueError(f"has no words for {empty[0]!r}")
        return verbaliser


class PromptedClassification(SingleLabel):
    """Causal models by the likelihood of the label's words (and of what the template has after them), masked ones by
    that of the words' pieces at masks; over all labels both are softmaxed."""

    name = "prompted-classification"
    columns = (*TEXT_COLUMNS, Column("label", "label", role="target"))
    options = PromptedOptions
    objective = None  # there is no head to fit

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(config)
        self._labels: tuple[str, ...] = ()
        self._shots: pa.Table | None = None

    def words(self, labels: Sequence[str]) -> list[str]:
        """What stands for each label."""
        return [self.settings.verbaliser.get(label, label) for label in labels]

    def review(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        options = self.settings
        for label in options.verbaliser:
            if label not in labels:
                raise DataError(
                    f"verbaliser names the label {label!r}; the dataset has {', '.join(map(repr, labels[:10]))}",
                    key=("task_config", "verbaliser"),
                )
        words = self.words(labels)
        twice = next((word for word in words if words.count(word) > 1), None)
        if twice is not None:
            raise DataError(f"two labels have the words {twice!r}", key=("task_config", "verbaliser"))
        options.check_shots(splits)
        for split, rows in splits.items():
            if wrong_field(options.template, (*rows.column_names, "answer")):
                raise DataError(
                    f"split {split!r}: the template names {{text_pair}}, and there is no such column", key=("columns",)
                )
        return ()

    # --- rows

    def beside(self, train: pa.Table | None, labels: Sequence[str]) -> PromptedClassification:
        task = copy.copy(self)
        task._labels = tuple(labels)
        task._shots = shots_from(train, self.settings)
        return task

    def processor_key(self, model: ModelSpec) -> str:
        if model.baseline is not None:
            return "rows"
        how = "words" if is_causal(open_config(model)) else "masks"
        return f"prompts as {how}:{tokenizer_hash(model)}:{num_positions(model)}:{model.instruction}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.baseline is not None:
            return plain_rows(rows, [name for name in FIELDS if name in rows.column_names])
        assert self._labels, "prepared beside no labels"
        words, options = self.words(self._labels), self.settings
        shots = self._shots if self._shots is not None else rows.slice(0, 0)
        answers = [words[label] for label in shots.column("label").to_pylist()]
        shown = Shown(shots.column("id").to_pylist(), texts_of(shots), answers)
        causal = is_causal(open_config(model))
        longest = context_length(model, max_length) if causal else longest_input(model, max_length)
        tokenizer = open_tokenizer(model)
        taken = max(num_pieces(tokenizer, words)) + tokenizer.num_special_tokens_to_add()
        asked = asked_rows(
            rows, shown, options.shots, template=options.template, separator=options.separator, model=model,
            room=max(1, longest - taken - 1),
        )  # fmt: skip
        if causal:
            choices = [[word + one.after for word in words] for one in asked]
            columns = continuation_columns([one.before for one in asked], choices, model, max_length)
        else:
            columns = mask_prompt_columns(asked, self._pieces(model, self._labels), model, longest)
        return pa.table({**{name: rows.column(name) for name in rows.column_names if name not in FIELDS}, **columns})

    def _pieces(self, model: ModelSpec, labels: Sequence[str]) -> LabelWords:
        before = self.settings.template.partition(ANSWER)[0]
        return label_words(model, self.words(labels), spaced=before[-1:].isspace())

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        answers = single_chunk(prepared, "label").to_numpy()
        if is_causal(open_config(model)):
            return ContinuationExamples(prepared, model, answers)
        return MaskPrompts(prepared, model, answers, self._pieces(model, dataset.labels))

    # --- networks

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        if not (is_causal(config) or is_masked(config)):
            raise IncompatibleError(
                f"model {model.reference!r}: {config.model_type} predicts no words; {self.name} needs a language "
                "model, causal or masked, such as llama or bert"
            )
        if is_causal(config):
            check_words(model, config, CAUSAL_HEADS)
        else:
            check_masked(self.name, model, config)

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> tuple[int, ...]:
        causal = is_causal(open_config(model))
        check_own_words(model, CAUSAL_HEADS if causal else MASKED_HEADS, tied=causal)
        return tuple(range(len(labels)))

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.language import open_language_model

        causal = is_causal(open_config(model))
        return open_language_model(model, f"AutoModelFor{'Causal' if causal else 'Masked'}LM", seed, causal=causal)

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        scores_BC = self._scores(outputs, batch)
        return super().loss(scores_BC, Batch(batch.inputs, batch.targets.answers), options)

    def predict(self, network: Network, batch: Batch) -> torch.Tensor:
        """ln p of each label's words, float32 [B, C]; not softmaxed."""
        import torch

        if isinstance(batch.targets, Continued):
            scores = choice_scores(network, batch).reshape(len(batch.targets.answers), -1)
            return torch.from_numpy(scores).float()
        return self._scores(network(batch.inputs), batch)

    def _scores(self, logits_SV: torch.Tensor, batch: Batch) -> torch.Tensor:
        if isinstance(batch.targets, Continued):
            return summed_scores(logits_SV, batch.targets).view(len(batch.targets.answers), -1)
        return masked_scores(logits_SV, batch.targets)
