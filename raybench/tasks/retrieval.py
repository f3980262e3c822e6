"""retrieval: the documents of a corpus that answer a query, by the cosine of their embeddings.

A row is a query with its relevant documents; the corpus is what the rows of the split name. Shapes: B queries, W model
rows (first all queries, then the documents of each), N documents of the corpus, H features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.tasks.choices import choice_loss
from raybench.tasks.corpus import corpus_column, judge
from raybench.tasks.embeddings import EmbeddingTask
from raybench.tasks.prompts import prompts_of
from raybench.tasks.ranking import PIECE, Ranked, rank
from raybench.tasks.retrieval_inputs import Asked, RetrievalExamples, embed_corpus, tokenize_corpus
from raybench.tasks.rows import key_column
from raybench.tasks.task import Batch, LossOptions, TaskOptions

if TYPE_CHECKING:
    import torch

    from raybench.tasks.task import Examples

__all__ = ["Retrieval", "RetrievalOptions"]

_SCALE = 20.0  # of cosines under a softmax, as sentence-transformers' ranking loss has it


class RetrievalOptions(TaskOptions):
    """What texts are embedded with, how deep is ranked, what is learned from."""

    depth: int = Field(
        default=100,
        ge=1,
        description="the best documents that a record holds, beside the relevant ones; figures are exact to that rank",
    )
    query_prompt: str | None = Field(default=None, description="before queries; left out: what the checkpoint says")
    document_prompt: str | None = Field(
        default=None, description="before documents; left out: what the checkpoint says"
    )
    negatives: int = Field(
        default=4, ge=1, description="documents that a training query is held against, the row's own first"
    )


class Retrieval(EmbeddingTask):
    """Query → the corpus, ranked. Fine-tuning is a softmax over a relevant document and some that are not."""

    name = "retrieval"
    columns = (
        Column("query", "text"),
        Column("document", "texts", role="target"),
        Column("grade", "values", required=False, role="target"),
        Column("negative", "texts", required=False, role="target"),
    )
    metrics = ("ndcg_at_10", "mrr_at_10", "recall_at_100", "mean_average_precision_at_100")
    primary = "ndcg_at_10"
    options = RetrievalOptions

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        numbers = pa.list_(pa.float32())
        return pa.schema({"id": pa.string(), "relevance": numbers, "scores": numbers})

    def review(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        rows = splits["test"]
        by_split, notes = {name: judge(table) for name, table in splits.items()}, []
        judged = by_split["test"]
        unanswered = sum(not any(grade > 0 for grade in grades) for grades in judged.grades)
        repeated = rows.num_rows - len(set(rows.column("query").to_pylist()))
        if unanswered:
            notes.append(f"{unanswered} of {rows.num_rows} test queries have no relevant document: they count nowhere")
        if repeated:
            notes.append(f"{repeated} test rows repeat a query: its documents are joined, and it counts that often")
        count = len(judged.texts)
        if count > self.settings.depth:
            notes.append(f"the corpus of the test split has {count} documents; figures are exact to rank "
                         f"{self.settings.depth} (task_config: depth)")  # fmt: skip
        return tuple(notes)

    def processor_key(self, model: ModelSpec) -> str:
        key = super().processor_key(model)
        return key if model.baseline is not None else f"{key}:{prompts_of(model)}"

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        judged = judge(rows)
        left_out = ("query", "document", "grade", "negative")
        kept = {name: rows.column(name) for name in rows.column_names if name not in left_out}
        columns = {
            **kept,
            "documents": pa.array(judged.documents, pa.list_(pa.int32())),
            "grades": pa.array(judged.grades, pa.list_(pa.float32())),
        }
        if model.baseline is None:
            return tokenize_corpus(columns, rows.column("query").to_pylist(), judged, model, max_length, self.settings)
        queries = rows.column("query").to_pylist()
        return pa.table(
            {
                **columns,
                "query": rows.column("query"),
                "corpus": corpus_column([text.encode() for text in judged.texts], rows.num_rows),
                "length": pa.array(np.ones(rows.num_rows, dtype=np.int32)),
                "key": key_column(query.encode() for query in queries),
            }
        )

    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        return RetrievalExamples(prepared, model)

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        from torch.nn.functional import normalize

        asked: Asked = batch.targets
        embeddings_WH = normalize(outputs.float(), dim=1)
        queries_BH, documents = embeddings_WH[: asked.num_queries], embeddings_WH[asked.num_queries :]
        cosine = _SCALE * (queries_BH[asked.owner.to(outputs.device)] * documents).sum(dim=1)
        counts = np.bincount(asked.owner.numpy(), minlength=1)
        counts = counts[counts > 0]  # of a query without a relevant document nothing is learned
        first = asked.owner.new_zeros(len(counts)).to(outputs.device)  # where the relevant one stands
        return choice_loss(cosine, counts, first, options) if len(counts) else cosine.sum()

    def predict(self, network: Any, batch: Batch) -> Ranked:
        import torch
        from torch.nn.functional import normalize

        asked: Asked = batch.targets
        documents_NH = embed_corpus(network, asked.corpus)
        given = {name: value[: asked.num_queries, : asked.query_width] for name, value in batch.inputs.items()}
        queries_BH = normalize(network(given).float(), dim=1)
        with torch.autocast(queries_BH.device.type, enabled=False):  # bfloat16 has 256 steps: too few to rank by
            pieces = (queries_BH @ piece.T for piece in documents_NH.split(PIECE))
            return rank(pieces, asked.relevant, self.settings.depth)

    def records(self, predictions: Ranked, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        """`predictions` are the indices of documents and their scores, for each row."""
        relevance = []
        judged = zip(rows.column("documents").to_pylist(), rows.column("grades").to_pylist(), strict=True)
        for indices, (own, grades) in zip(predictions.indices, judged, strict=True):
            known = dict(zip(own, grades, strict=True))
            relevance.append([known.get(place, 0.0) for place in indices.tolist()])
        numbers = pa.list_(pa.float32())
        return pa.table(
            {
                "id": rows.column("id").combine_chunks(),
                "relevance": pa.array(relevance, numbers),
                "scores": pa.array([one.tolist() for one in predictions.scores], numbers),
            }
        )
