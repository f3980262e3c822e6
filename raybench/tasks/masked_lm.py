"""masked-lm: how well a masked language model puts back each token of a text from those on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
from pydantic import Field

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.models.tokenizer import open_tokenizer, tokenizer_hash
from raybench.tasks.language import check_own_words, token_outcomes, words_loss
from raybench.tasks.mask_rows import MASKED_HEADS, check_masked
from raybench.tasks.masked_inputs import MaskedExamples, prepare_masked
from raybench.tasks.overlapping_windows import frame_of
from raybench.tasks.scored_texts import byte_texts
from raybench.tasks.task import Batch, LossOptions, Task, TaskOptions
from raybench.tasks.text_inputs import num_positions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.language import LanguageNetwork
    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["MaskedLM", "MaskedOptions"]


class MaskedOptions(TaskOptions):
    """What is masked together."""

    mask_share: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="part of a text's tokens masked together, drawn by (mask_seed, id); 0: each alone",
    )
    mask_seed: int = Field(default=0, description="draws other ones")


class MaskedLM(Task):
    """Every token of a text is masked once. Alone, the perplexity is the pseudo-perplexity of Salazar et al. 2020; a
    share at a time, as models were trained, costs a few passes a text in place of one a token."""

    name = "masked-lm"
    columns = (Column("text", "text", fixed=True),)
    metrics = ("word_perplexity", "perplexity", "masked_accuracy")
    primary = "word_perplexity"
    options = MaskedOptions
    own_head_needed = True

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        counts = {name: pa.int64() for name in ("num_tokens", "num_right", "num_words", "num_bytes")}
        return pa.schema({"id": pa.string(), "begins_with": pa.string(), "nll": pa.float64(), **counts})

    def processor_key(self, model: ModelSpec) -> str:
        if model.baseline is not None:
            return "rows"
        return f"masked texts:{tokenizer_hash(model)}:{num_positions(model)}:{model.instruction}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.baseline is None:
            return prepare_masked(rows, model, max_length, self.settings.mask_share, self.settings.mask_seed)
        return byte_texts(rows)

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return MaskedExamples(prepared, model, dataset.max_length)

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        check_masked(self.name, model, config)
        frame_of(open_tokenizer(model), pair=False)

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> None:
        check_own_words(model, MASKED_HEADS, tied=False)

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.language import open_language_model

        return open_language_model(model, "AutoModelForMaskedLM", seed, causal=False)

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        return words_loss(outputs, batch, options)

    def predict(self, network: Network, batch: Batch) -> np.ndarray:
        """−ln p of each example and how many of its tokens are the likeliest, float64 [B, 2]."""
        nll_S, right_S = token_outcomes(cast("LanguageNetwork", network), batch.inputs, batch.targets.ids)
        assert batch.rows is not None
        owner, count = batch.targets.owner, len(batch.rows)
        return np.stack([np.bincount(owner, weights=part, minlength=count) for part in (nll_S, right_S)], axis=1)

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        found = np.asarray(predictions, dtype=np.float64)
        made = {"nll": pa.array(found[:, 0]), "num_right": pa.array(found[:, 1].astype(np.int64))}
        columns = {name: made[name] if name in made else rows.column(name) for name in self.record_schema(()).names}
        return pa.table(columns).combine_chunks()
