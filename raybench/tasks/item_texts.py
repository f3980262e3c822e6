"""Users as the mean of what their items' texts are to a text model, and items as texts: prepared once, as a corpus is.

Shapes: B users, W model rows (for each user the items that it is shown by, a right one, others), N items, H features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.identity import seed_from
from raybench.tasks.choices import choice_loss
from raybench.tasks.corpus import corpus_column, corpus_digest, corpus_of
from raybench.tasks.items import item_words, rows_of
from raybench.tasks.prompts import prompts_of
from raybench.tasks.ranking import PIECE
from raybench.tasks.retrieval_inputs import Corpus, embed_corpus, text_tensors
from raybench.tasks.rows import Ragged, input_keys, key_column, ragged, ragged_column, single_chunk
from raybench.tasks.task import Batch, LossOptions
from raybench.tasks.text_inputs import pad_id, tokenize

if TYPE_CHECKING:
    import torch

    from raybench.models.embedding import EmbeddingNetwork

__all__ = ["Compared", "ItemTextExamples", "item_texts"]

_SCALE = 20.0  # of cosines under a softmax, as in retrieval


def item_texts(rows: pa.Table, model: ModelSpec, max_length: int, settings: Any) -> pa.Table:
    """Rows with the items' token ids as `corpus`, and what is learned from: `shown`, some items of the history, and
    `compared`, the first that is wanted and some that the user has not taken (none where nothing is wanted)."""
    ahead = prompts_of(model).document
    texts = pa.array([ahead + text for text in item_words(rows)], pa.string())
    found = ragged(tokenize(pa.table({"text": texts}), model, max_length), "input_ids")
    documents = [found.row(place).tobytes() for place in range(len(texts))]
    sizes = np.diff(found.offsets)
    history, wanted = ragged(rows, "history"), ragged(rows, "item")
    names = rows.column("id").to_pylist()
    shown, compared = [], []
    for row, name in enumerate(names):
        taken, right = history.row(row), wanted.row(row)
        draw = np.random.default_rng(seed_from("shown", name))
        some = taken if len(taken) <= settings.shown else draw.choice(taken, settings.shown, replace=False)
        shown.append(np.sort(some).tolist())
        others = _others({*taken.tolist(), *right.tolist()}, len(texts), settings.negatives, draw)
        compared.append([int(right[0]), *others] if len(right) else [])
    longest = [
        int(sizes[[*own, *others]].max(initial=1)) for own, others in zip(shown, compared, strict=True)
    ]
    return pa.table(
        {
            **{name: rows.column(name) for name in rows.column_names if name != "catalogue_text"},
            "shown": ragged_column(shown),
            "compared": ragged_column(compared),
            "corpus": corpus_column(documents, rows.num_rows),
            "rows": pa.array([max(1, len(a) + len(b)) for a, b in zip(shown, compared, strict=True)], pa.int32()),
            "length": pa.array(longest, pa.int32()),
            "key": key_column(name.encode() for name in names),
        }
    )


def _others(barred: set[int], num_items: int, wanted: int, draw: np.random.Generator) -> list[int]:
    """Places of items that are not barred, each once."""
    chosen: list[int] = []
    while len(chosen) < wanted and len(barred) < num_items:
        place = int(draw.integers(num_items))
        if place not in barred:
            chosen.append(place)
            barred.add(place)
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a batch is asked: how many model rows show each user and are compared with it, int64 [B]; whose items."""

    num_shown: np.ndarray
    num_compared: np.ndarray
    histories: list[np.ndarray]
    wanted: list[np.ndarray]
    corpus: Corpus

    def loss(self, outputs_WH: torch.Tensor, options: LossOptions) -> torch.Tensor:
        """Of a softmax over a right item and some others, summed over users."""
        import torch
        from torch.nn.functional import normalize

        device = outputs_WH.device
        shown_SH, compared_CH = normalize(outputs_WH.float(), dim=1).split(
            [int(self.num_shown.sum()), len(outputs_WH) - int(self.num_shown.sum())]
        )
        owner_S, owner_C = (
            torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(device)
            for counts in (self.num_shown, self.num_compared)
        )
        users_BH = shown_SH.new_zeros(len(self.num_shown), outputs_WH.shape[1]).index_add(0, owner_S, shown_SH)
        counts = self.num_compared[self.num_compared > 0]
        if not len(counts):
            return outputs_WH.sum() * 0.0
        cosine_C = _SCALE * (normalize(users_BH, dim=1)[owner_C] * compared_CH).sum(dim=1)
        return choice_loss(cosine_C, counts, owner_C.new_zeros(len(counts)), options)

    def scores(self, network: EmbeddingNetwork) -> Iterator[torch.Tensor]:
        """Cosines of each user's mean with every item, [B, C] a piece."""
        import torch
        from torch.nn.functional import embedding_bag, normalize

        items_NH = embed_corpus(network, self.corpus)
        taken = torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *self.histories])).to(items_NH.device)
        starts = np.cumsum([0, *(len(own) for own in self.histories)])[:-1]
        offsets = torch.from_numpy(starts).to(items_NH.device)
        with torch.autocast(items_NH.device.type, enabled=False):  # bfloat16 has 256 steps: too few to rank by
            users_BH = normalize(embedding_bag(taken, items_NH, offsets, mode="mean"), dim=1)
            yield from (users_BH @ piece.T for piece in items_NH.split(PIECE))


class ItemTextExamples:
    """Prepared users; each is the model rows of the texts that it learns from."""

    def __init__(self, prepared: pa.Table, model: ModelSpec) -> None:
        self.shown, self.compared = ragged(prepared, "shown"), ragged(prepared, "compared")
        self.history, self.wanted = ragged(prepared, "history"), ragged(prepared, "item")
        self.rows = single_chunk(prepared, "rows").to_numpy()
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.keys = input_keys(prepared)
        stored = corpus_of(prepared)
        ids = Ragged(stored.values.view(np.int32), stored.offsets // 4)
        self.corpus = Corpus(ids=ids, digest=corpus_digest(stored), pad_id=pad_id(model))

    def __len__(self) -> int:
        return len(self.lengths)

    def units(self, indices: np.ndarray) -> int:
        """How many users have something to learn from; 1 where none has, for their loss is 0."""
        return max(1, sum(len(self.compared.row(index)) > 0 for index in indices.tolist()))

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """input_ids and attention_mask int64 [W, T]: the items that show the users, then those compared with each."""
        users = indices.tolist()
        shown, compared = rows_of(self.shown, users), rows_of(self.compared, users)
        places = np.concatenate([np.zeros(0, dtype=np.int64), *shown, *compared]).tolist()
        tensors = text_tensors([self.corpus.ids.row(place) for place in places], self.corpus.pad_id, device)
        asked = Compared(
            num_shown=np.array([len(own) for own in shown]),
            num_compared=np.array([len(own) for own in compared]),
            histories=rows_of(self.history, users),
            wanted=rows_of(self.wanted, users),
            corpus=self.corpus,
        )
        return Batch(tensors, asked, self.rows[indices])
