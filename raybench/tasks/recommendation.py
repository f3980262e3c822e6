"""recommendation: what a user takes next, out of all items that it has not taken yet.

Rows are interactions, examples are users (`raybench.data.interactions`). A causal language model without weights reads
a user's items as its words; any other model reads the items' texts, and a user is the mean of its items. Shapes: B
users, N items, V = N + 1 words (0 stands before the first item), H features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
from pydantic import Field

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import from_scratch, open_config
from raybench.tasks.embeddings import EmbeddingTask
from raybench.tasks.item_sequences import SequenceExamples, item_sequences
from raybench.tasks.item_texts import Compared, ItemTextExamples, item_texts
from raybench.tasks.items import catalogue_of, rank_unseen, ranked_columns
from raybench.tasks.language import is_causal, words_loss
from raybench.tasks.prompts import prompts_of
from raybench.tasks.ranking import PIECE, Ranked
from raybench.tasks.rows import key_column, ragged
from raybench.tasks.task import Batch, LossOptions, TaskOptions
from raybench.tasks.text_inputs import num_positions

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.network import Network
    from raybench.tasks.task import Examples

__all__ = ["Recommendation", "RecommendationOptions"]


class RecommendationOptions(TaskOptions):
    """What counts, how deep is ranked, what a text model learns from."""

    depth: int = Field(
        default=100,
        ge=1,
        description="the best items that a record holds, beside the right ones; figures are exact to that rank",
    )
    min_rating: float | None = Field(default=None, description="interactions of lower ratings are left out")
    negatives: int = Field(
        default=4, ge=1, description="items that a right one is held against when a text model learns"
    )
    shown: int = Field(default=8, ge=1, description="items of a history that a text model sees of a user then")


class Recommendation(EmbeddingTask):
    """A user's history → all other items, ranked; equal scores go by an order made from the items' names."""

    name = "recommendation"
    columns = (
        Column("user", "name", role="group"),
        Column("item", "name"),
        Column("timestamp", "time", required=False),
        Column("rating", "value", required=False),
        Column("text", "text", required=False),
    )
    metrics = ("ndcg_at_10", "hit_rate_at_10", "mrr_at_10")
    primary = "ndcg_at_10"
    options = RecommendationOptions

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        numbers = pa.list_(pa.float32())
        return pa.schema({"id": pa.string(), "items": pa.list_(pa.string()), "relevance": numbers, "scores": numbers})

    def review(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        notes, test = [], splits["test"]
        count, histories, wanted = len(catalogue_of(test)), ragged(test, "history"), ragged(test, "item")
        if nothing := int((np.diff(wanted.offsets) == 0).sum()):
            notes.append(
                f"{nothing} of {test.num_rows} test users took nothing that is new to them: they count nowhere"
            )
        if strangers := int((np.diff(histories.offsets) == 0).sum()):
            notes.append(f"{strangers} of {test.num_rows} test users have no history")
        if "train" in splits:
            known = np.concatenate([ragged(splits["train"], name).values for name in ("history", "item")])
            if new := int((~np.isin(wanted.values, known)).sum()):
                notes.append(f"{new} of {len(wanted.values)} items to be found are in no history of train: only "
                             "their texts tell of them")  # fmt: skip
        if "catalogue_text" not in test.column_names:
            notes.append("there is no column text: text models read the items' names")
        if count > self.settings.depth:
            notes.append(f"there are {count} items; figures are exact to rank {self.settings.depth} "
                         "(task_config: depth)")  # fmt: skip
        return tuple(notes)

    def statistics(self, train: pa.Table) -> dict[str, float]:
        return {"num_items": float(len(catalogue_of(train)))}

    def processor_key(self, model: ModelSpec) -> str:
        if model.baseline is not None:
            return "rows"
        if _reads_items(model):
            return f"items:{num_positions(model)}"
        return f"{super().processor_key(model)}:{prompts_of(model).document}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        if model.baseline is None and _reads_items(model):
            return item_sequences(rows, min(max_length, num_positions(model) or max_length))
        if model.baseline is None:
            return item_texts(rows, model, max_length, self.settings)
        names = (name.encode() for name in rows.column("id").to_pylist())
        ones = pa.array(np.ones(rows.num_rows, dtype=np.int32))
        return rows.append_column("length", ones).append_column("key", key_column(names))

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return SequenceExamples(prepared) if _reads_items(model) else ItemTextExamples(prepared, model)

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        if not _reads_items(model):
            super().check(model, config)
        elif "vocab_size" in model.config:
            raise IncompatibleError(f"model {model.reference!r}: its words are the items; leave vocab_size out")

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.backbone import open_backbone
        from raybench.models.embedding import ProjectedEmbeddings
        from raybench.models.language import open_language_model
        from raybench.models.pooling import pooling_of

        if not _reads_items(model):
            return ProjectedEmbeddings(open_backbone(model, seed), pooling_of(model))
        words = {"vocab_size": int(dataset.statistics["num_items"]) + 1, "bos_token_id": 0}
        spec = replace(model, config={**model.config, **words, "eos_token_id": None, "pad_token_id": None})
        return open_language_model(spec, "AutoModelForCausalLM", seed, causal=True)

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        if isinstance(batch.targets, Compared):
            return batch.targets.loss(outputs, options)
        return words_loss(outputs, batch, options)

    def predict(self, network: Any, batch: Batch) -> Ranked:
        """The best items of each user."""
        asked = batch.targets
        if isinstance(asked, Compared):
            pieces = asked.scores(network)
        else:
            logits_BV = network({**batch.inputs, "positions": asked.last})
            pieces = iter(logits_BV[:, 1:].split(PIECE, dim=1))
        return rank_unseen(pieces, asked.histories, asked.wanted, self.settings.depth)

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        """`predictions` are the places of items and their scores, for each row."""
        columns = ranked_columns(cast("Ranked", predictions), rows)
        return pa.table({"id": rows.column("id").combine_chunks(), **columns})


def _reads_items(model: ModelSpec) -> bool:
    """Whether a model's words are the items: a causal one that has no weights, and no tokenizer of its own to keep."""
    return from_scratch(model) and not model.tokenizer and is_causal(open_config(model))
