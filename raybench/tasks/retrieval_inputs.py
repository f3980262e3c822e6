"""Queries and their corpus as token ids: what is prepared once, and padded tensors out of it.

Shapes: B queries, W model rows, T positions, N documents of the corpus.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.identity import seed_from
from raybench.tasks.corpus import Judged, corpus_column, corpus_digest, corpus_of
from raybench.tasks.language import padded_rows
from raybench.tasks.prompts import prompts_of
from raybench.tasks.rows import Ragged, input_keys, key_column, ragged, ragged_column, single_chunk
from raybench.tasks.task import Batch
from raybench.tasks.text_inputs import pad_id, tokenize

if TYPE_CHECKING:
    import torch

    from raybench.models.embedding import EmbeddingNetwork

__all__ = ["Asked", "Corpus", "RetrievalExamples", "embed_corpus", "text_tensors", "tokenize_corpus"]

_MOST_TOKENS, _MOST_ROWS = 4096, 64  # of the corpus embedded at once, as in a planned batch


def tokenize_corpus(
    columns: Mapping[str, Any], queries: list[str], judged: Judged, model: ModelSpec, max_length: int, settings: Any
) -> pa.Table:
    """`columns` with `input_ids` of the query, the corpus, `rows`, `length`, `key` and `compared`: the indices of a
    relevant document and of some that are not, to learn from; of a query without a relevant one none."""
    own = prompts_of(model)
    before = own.query if settings.query_prompt is None else settings.query_prompt
    ahead = own.document if settings.document_prompt is None else settings.document_prompt
    asked = tokenize(pa.table({"text": pa.array([before + text for text in queries], pa.string())}), model, max_length)
    texts = pa.array([ahead + text for text in judged.texts], pa.string())
    found = ragged(tokenize(pa.table({"text": texts}), model, max_length), "input_ids")
    documents = [found.values[a:b].tobytes() for a, b in itertools.pairwise(found.offsets.tolist())]
    sizes = np.diff(found.offsets)
    compared = []
    for row, query in enumerate(queries):
        relevant = [p for p, grade in zip(judged.documents[row], judged.grades[row], strict=True) if grade > 0]
        others = _negatives(query, relevant, judged.negatives[row], len(documents), settings.negatives)
        compared.append([relevant[0], *others] if relevant else [])
    lengths = asked.column("length").to_numpy()
    longest = [
        max([int(size), *(int(sizes[place]) for place in indices)])
        for size, indices in zip(lengths, compared, strict=True)
    ]
    keys = zip(asked.column("key").to_pylist(), judged.documents, strict=True)
    return pa.table(
        {
            **columns,
            "input_ids": asked.column("input_ids"),
            "compared": ragged_column(compared),
            "corpus": corpus_column(documents, len(queries)),
            "rows": pa.array([1 + len(indices) for indices in compared], pa.int32()),
            "length": pa.array(longest, pa.int32()),
            "key": key_column(key + np.array(known, dtype=np.int32).tobytes() for key, known in keys),
        }
    )


def _negatives(query: str, relevant: Sequence[int], own: Sequence[int], num_documents: int, wanted: int) -> list[int]:
    """Places of documents that are not relevant: the row's own, then any, drawn from the query alone."""
    chosen = list(own[:wanted])
    barred = {*relevant, *chosen}
    draw = np.random.default_rng(seed_from("negatives", query))
    while len(chosen) < wanted and len(barred) < num_documents:
        place = int(draw.integers(num_documents))
        if place not in barred:
            chosen.append(place)
            barred.add(place)
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Token ids of all documents."""

    ids: Ragged
    digest: bytes
    pad_id: int

    def batches(self, device: torch.device) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
        """Places of documents and their input_ids and attention_mask [W, T], by length, each document once."""
        lengths = np.diff(self.ids.offsets)
        order = np.argsort(lengths, kind="stable")
        start = 0
        while start < len(order):
            stop = min(start + _MOST_ROWS, len(order))
            while stop > start + 1 and (stop - start) * _width(int(lengths[order[stop - 1]])) > _MOST_TOKENS:
                stop -= 1
            indices = order[start:stop]
            yield indices, text_tensors([self.ids.row(index) for index in indices.tolist()], self.pad_id, device)
            start = stop


def embed_corpus(network: EmbeddingNetwork, corpus: Corpus) -> torch.Tensor:
    """The corpus as this network reads it, of unit length, float32 [N, H]; once a network."""
    import torch
    from torch.nn.functional import normalize

    device = next(network.parameters()).device

    def embed() -> torch.Tensor:
        order, parts = [], []
        for places, inputs in corpus.batches(device):
            parts.append(normalize(network(inputs).float(), dim=1))
            order.append(places)
        back = np.argsort(np.concatenate(order), kind="stable")
        return torch.cat(parts)[torch.from_numpy(back).to(device)]

    return network.once(corpus.digest, embed)


class Asked(NamedTuple):
    """What a batch is asked: how many queries, whose each document is (int64 [W − B]), the relevant indices of each."""

    num_queries: int
    query_width: int
    owner: torch.Tensor
    relevant: list[np.ndarray]
    corpus: Corpus


class RetrievalExamples:
    """Prepared queries; each is a model row, and one for each document that it is compared with."""

    def __init__(self, prepared: pa.Table, model: ModelSpec) -> None:
        self.queries = ragged(prepared, "input_ids")
        self.documents, self.compared = ragged(prepared, "documents"), ragged(prepared, "compared")
        self.rows = single_chunk(prepared, "rows").to_numpy()
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.keys = input_keys(prepared)
        stored = corpus_of(prepared)
        ids = Ragged(stored.values.view(np.int32), stored.offsets // 4)
        self.corpus = Corpus(ids=ids, digest=corpus_digest(stored), pad_id=pad_id(model))

    def __len__(self) -> int:
        return len(self.lengths)

    def units(self, indices: np.ndarray) -> int:
        """How many queries have something to learn from; 1 where none has, for their loss is 0."""
        return max(1, int((self.rows[indices] > 1).sum()))

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """input_ids and attention_mask int64 [W, padded]: all queries, then the documents of each."""
        import torch

        rows = [self.queries.row(index) for index in indices.tolist()]
        width = max((len(row) for row in rows), default=1)
        relevant, owner = [], []
        for query, index in enumerate(indices.tolist()):
            relevant.append(self.documents.row(index).astype(np.int64))
            for place in self.compared.row(index).tolist():
                rows.append(self.corpus.ids.row(place))
                owner.append(query)
        asked = Asked(len(indices), _width(width), torch.tensor(owner, dtype=torch.int64), relevant, self.corpus)
        return Batch(text_tensors(rows, self.corpus.pad_id, device), asked, self.rows[indices])


def _width(length: int) -> int:
    return max(8, -(-length // 8) * 8)


def text_tensors(rows: list[np.ndarray], pad_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    """input_ids and attention_mask [W, T] of token ids."""
    import torch

    ids, mask = padded_rows(rows, _width(max(map(len, rows), default=1)), pad_id)
    arrays = {"input_ids": ids, "attention_mask": mask}
    return {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in arrays.items()}
