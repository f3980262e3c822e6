"""multiple-choice: which of an example's choices is right, by a head that scores pairs or by likelihood."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import DataError, IncompatibleError
from raybench.models.configuration import open_config
from raybench.models.tokenizer import tokenizer_hash
from raybench.tasks.causal_lm import CAUSAL_HEADS
from raybench.tasks.choice_pairs import PairExamples, has_choice_head, open_choice_network, pair_columns
from raybench.tasks.choice_words import (
    ContinuationExamples,
    Continued,
    choice_scores,
    continuation_columns,
    summed_scores,
)
from raybench.tasks.choices import choice_columns, choice_loss
from raybench.tasks.language import check_own_words, check_words, is_causal
from raybench.tasks.rows import key_column, ragged, ragged_column, single_chunk
from raybench.tasks.shots import ShotOptions, shots_for, shots_from
from raybench.tasks.task import Batch, LossOptions, Task
from raybench.tasks.templates import filled, wrong_field
from raybench.tasks.text import refuse_without_vocabulary
from raybench.tasks.text_inputs import num_positions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["MultipleChoice", "MultipleChoiceOptions"]

_FIELDS = ("question", "context")


class MultipleChoiceOptions(ShotOptions):
    """How a language model is asked."""

    template: str = Field(
        default="Question: {question}\nAnswer:",
        min_length=1,
        description="how a language model is asked; names columns in braces",
    )
    delimiter: str = Field(default=" ", description="before the choice")

    @field_validator("template")
    @classmethod
    def _known(cls, template: str) -> str:
        if (reason := wrong_field(template, _FIELDS)) is not None:
            raise ValueError(reason)
        return template


class MultipleChoice(Task):
    """A causal language model scores each choice as what follows the question, its length in bytes taken off or not;
    any other text model learns, or has, a head that scores question and choice as a pair."""

    name = "multiple-choice"
    columns = (
        Column("question", "text"),
        Column("context", "text", required=False),
        Column("choices", "texts", fixed=True),
        Column("label", "index", role="target"),
    )
    metrics = ("choice_accuracy", "choice_accuracy_norm", "log_loss")
    primary = "choice_accuracy"
    options = MultipleChoiceOptions

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(config)
        self._shots: pa.Table | None = None

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        whole = {name: pa.int32() for name in ("target", "prediction", "prediction_norm")}
        return pa.schema({"id": pa.string(), **whole, "nll": pa.float64()})

    def review(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        self.settings.check_shots(splits)
        for split, rows in splits.items():
            _check_rows(split, rows, self.settings.template)
        return ()

    # --- rows

    def beside(self, train: pa.Table | None, labels: Sequence[str]) -> MultipleChoice:
        task = copy.copy(self)
        task._shots = shots_from(train, self.settings)
        return task

    def processor_key(self, model: ModelSpec) -> str:
        if model.baseline is not None:
            return "rows"
        how = "words" if is_causal(open_config(model)) else "pairs"
        return f"choices as {how}:{tokenizer_hash(model)}:{num_positions(model)}:{model.instruction}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        choices: list[list[str]] = rows.column("choices").to_pylist()
        sizes = ragged_column([[len(choice.encode()) for choice in some] for some in choices])
        raw = ("question", "context", "choices")
        if model.baseline is not None:
            texts = zip(*(rows.column(name).to_pylist() for name in raw if name in rows.column_names), strict=True)
            length = pa.array(np.ones(rows.num_rows, dtype=np.int32))
            table = rows.append_column("length", length)
            return table.append_column("key", key_column(repr(row).encode() for row in texts)).append_column(
                "choice_bytes", sizes
            )
        kept = {name: rows.column(name) for name in rows.column_names if name not in raw}
        if is_causal(open_config(model)):
            delimiter = self.settings.delimiter
            continued = [[delimiter + choice for choice in some] for some in choices]
            columns = continuation_columns(self._contexts(rows, model.instruction), continued, model, max_length)
        else:
            questions = [model.instruction + text for text in _questions(rows)]
            columns = pair_columns(questions, choices, model, max_length)
        return pa.table({**kept, **columns, "choice_bytes": sizes})

    def _contexts(self, rows: pa.Table, instruction: str) -> list[str]:
        """Instruction, shots and question of each row."""
        given = self._shots if self._shots is not None else rows.slice(0, 0)
        asked = [filled(self.settings.template, row) for row in _texts(given)]
        answers = [row["choices"][row["label"]] for row in given.to_pylist()]
        tail, between = self.settings.separator, self.settings.delimiter
        shots = [f"{text}{between}{answer}{tail}" for text, answer in zip(asked, answers, strict=True)]
        names = given.column("id").to_pylist()
        return [
            instruction
            + "".join(shots_for(shots, names, own, self.settings.shots))
            + filled(self.settings.template, row)
            for own, row in zip(rows.column("id").to_pylist(), _texts(rows), strict=True)
        ]

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        answers = single_chunk(prepared, "label").to_numpy()
        if "context_ids" in prepared.column_names:
            return ContinuationExamples(prepared, model, answers)
        return PairExamples(prepared, model, answers)

    # --- networks

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        refuse_without_vocabulary(model, config, self.name)
        if is_causal(config):
            check_words(model, config, CAUSAL_HEADS)

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> None:
        if is_causal(open_config(model)):
            check_own_words(model, CAUSAL_HEADS)
        elif not has_choice_head(model):
            raise IncompatibleError(
                f"model {model.reference!r}: no trained head that scores choices, and no causal language model; "
                "a method that fits, such as full, would train a head"
            )

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        if is_causal(open_config(model)):
            from raybench.models.language import open_language_model

            return open_language_model(model, "AutoModelForCausalLM", seed, causal=True)
        return open_choice_network(model, dataset, seed, own_head=own_head)

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        assert batch.rows is not None
        if isinstance(batch.targets, Continued):
            return choice_loss(summed_scores(outputs, batch.targets), batch.rows, batch.targets.answers, options)
        return choice_loss(outputs.float()[:, 0], batch.rows, batch.targets, options)

    def predict(self, network: Network, batch: Batch) -> np.ndarray:
        """The score of each choice, float64 [W]: ln p of its tokens, or what the head gives it."""
        if isinstance(batch.targets, Continued):
            return choice_scores(network, batch)
        scores: np.ndarray = network(batch.inputs).double()[:, 0].cpu().numpy()
        return scores

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        sizes, offsets = ragged(rows, "choice_bytes")
        counts = np.diff(offsets)
        by_size = sizes[offsets[0] : offsets[-1]]
        if "input_ids" in rows.column_names:  # what a head gives does not grow with a choice's length
            by_size = np.ones_like(by_size)
        target = rows.column("label").combine_chunks()
        columns = choice_columns(predictions, by_size, counts, target.to_numpy(zero_copy_only=False))
        return pa.table({"id": rows.column("id").combine_chunks(), "target": target, **columns})


def _texts(rows: pa.Table) -> list[dict[str, str]]:
    """What templates may name of each row."""
    names = [name for name in _FIELDS if name in rows.column_names]
    return cast("list[dict[str, str]]", rows.select(names).to_pylist())


def _questions(rows: pa.Table) -> list[str]:
    """The context, where there is one, and the question."""
    return [f"{row['context']} {row['question']}" if row.get("context") else row["question"] for row in _texts(rows)]


def _check_rows(split: str, rows: pa.Table, template: str) -> None:
    """DataError where a row cannot be asked or answered."""
    if wrong_field(template, tuple(rows.column_names)):
        raise DataError(
            f"split {split!r}: the template names {{context}}, and there is no such column", key=("columns",)
        )
    columns = (rows.column(name).to_pylist() for name in ("id", "choices", "label"))
    for name, choices, label in zip(*columns, strict=True):
        place = f"split {split!r}: row {name!r}"
        if len(choices) < 2:
            raise DataError(f"{place} has {len(choices)} choices; want two or more", key=("columns", "choices"))
        if not all(choice.strip() for choice in choices):
            raise DataError(f"{place} has an empty choice", key=("columns", "choices"))
        if label >= len(choices):
            raise DataError(
                f"{place} has {len(choices)} choices and the label {label}; want 0 to {len(choices) - 1}",
                key=("columns", "label"),
            )
