"""causal-lm: how well a language model foretells a text, each token from those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
from pydantic import Field

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.models.tokenizer import tokenizer_hash
from raybench.tasks.causal_inputs import CausalExamples, prepare_documents
from raybench.tasks.language import check_causal, check_own_words, check_words, token_losses, words_loss
from raybench.tasks.scored_texts import byte_texts
from raybench.tasks.task import Batch, LossOptions, Task, TaskOptions
from raybench.tasks.text_inputs import num_positions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.language import LanguageNetwork
    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["CausalLM", "CausalOptions"]

CAUSAL_HEADS = ("ForCausalLM", "LMHeadModel")


class CausalOptions(TaskOptions):
    """How a long text is cut into windows."""

    stride: int | None = Field(
        default=None,
        ge=1,
        description="how far a window moves on over a text that is longer than the model takes; left out: half of that",
    )


class CausalLM(Task):
    """Every token of a text once, with as much context as the model takes; texts are never joined.

    A text begins as the model's own do (`begins_with` in the records says how).
    """

    name = "causal-lm"
    columns = (Column("text", "text", fixed=True),)
    metrics = ("bits_per_byte", "perplexity", "word_perplexity", "byte_perplexity")
    primary = "bits_per_byte"
    options = CausalOptions
    own_head_needed = True

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        counts = {name: pa.int64() for name in ("num_tokens", "num_words", "num_bytes")}
        return pa.schema({"id": pa.string(), "begins_with": pa.string(), "nll": pa.float64(), **counts})

    def processor_key(self, model: ModelSpec) -> str:
        if model.baseline is not None:
            return "rows"
        return f"documents:{tokenizer_hash(model)}:{num_positions(model)}:{model.instruction}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.baseline is None:
            return prepare_documents(rows, model, max_length, self.settings.stride)
        return byte_texts(rows)

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return CausalExamples(prepared, model, dataset.max_length, self.settings.stride)

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        check_causal(self.name, model, config)
        check_words(model, config, CAUSAL_HEADS)

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> None:
        check_own_words(model, CAUSAL_HEADS)

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.language import open_language_model

        return open_language_model(model, "AutoModelForCausalLM", seed, causal=True)

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        return words_loss(outputs, batch, options)

    def predict(self, network: Network, batch: Batch) -> np.ndarray:
        """−ln p of each example, float64 [B]."""
        nll_S = token_losses(cast("LanguageNetwork", network), batch.inputs, batch.targets.ids)
        assert batch.rows is not None
        return np.bincount(batch.targets.owner, weights=nll_S, minlength=len(batch.rows))

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        schema = self.record_schema(())
        columns = {name: rows.column(name) for name in schema.names if name != "nll"}
        columns["nll"] = pa.chunked_array([np.asarray(predictions, dtype=np.float64)])
        return pa.table({name: columns[name] for name in schema.names}).combine_chunks()
