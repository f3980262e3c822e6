"""Texts, and pairs of texts, as what a pooled task reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.tokenizer import tokenizer_hash
from raybench.tasks.pooled import PooledTask
from raybench.tasks.rows import cell_keys
from raybench.tasks.text_inputs import TextExamples, num_positions, tokenize

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from raybench.tasks.task import Examples

__all__ = ["TEXT_COLUMNS", "TextTask", "plain_rows", "refuse_without_vocabulary", "tokens_key"]

TEXT_COLUMNS = (Column("text", "text"), Column("text_pair", "text", required=False))


class TextTask(PooledTask):
    """Rows of text."""

    auto_class = "AutoModelForSequenceClassification"
    head_suffix = "ForSequenceClassification"

    def processor_key(self, model: ModelSpec) -> str:
        return tokens_key(model)

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.baseline is None:
            return tokenize(rows, model, max_length)
        return plain_rows(rows, [name for name in ("text", "text_pair") if name in rows.column_names])

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return TextExamples(prepared, model, self.targets(prepared, dataset))

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        refuse_without_vocabulary(model, config, self.name)


def tokens_key(model: ModelSpec) -> str:
    """What decides the tokens of texts as a model reads them; a baseline reads the raw rows."""
    if model.baseline is not None:
        return "rows"
    return f"tokens:{tokenizer_hash(model)}:{num_positions(model)}:{model.instruction}"


def refuse_without_vocabulary(model: ModelSpec, config: PretrainedConfig, task: str) -> None:
    """IncompatibleError for a model that reads no text."""
    if not hasattr(config, "vocab_size"):
        raise IncompatibleError(
            f"model {model.reference!r}: {config.model_type} has no vocabulary, so it reads no text; "
            f"{task} needs a text model"
        )


def plain_rows(rows: pa.Table, inputs: Sequence[str]) -> pa.Table:
    """Rows as baselines read them: with the raw texts of these columns, `length` 1 and `key`."""
    lengths = pa.array(np.ones(rows.num_rows, dtype=np.int32))
    return rows.append_column("length", lengths).append_column("key", cell_keys(rows, inputs))
