"""Users as the mean of what their items' texts are to a text model, and items as texts: prepared once, as a corpus is.

Shapes: B users, W model rows (the distinct items of a batch), S and C places among them (what shows the users, what
each is compared with), N items, H features.
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
    longest = [int(sizes[[*own, *others]].max(initial=1)) for own, others in zip(shown, compared, strict=True)]
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
    """What a batch is asked: by user, int64 places among the model rows of the items that show it, and of a right one
    and some others; and for scoring its items by their places among all."""

    shown: list[np.ndarray]
    compared: list[np.ndarray]
    histories: list[np.ndarray]
    wanted: list[np.ndarray]
    corpus: Corpus

    def loss(self, outputs_WH: torch.Tensor, options: LossOptions) -> torch.Tensor:
        """Of a softmax over a right item and some others, summed over users."""
        from torch.nn.functional import normalize

        units_WH = normalize(outputs_WH.float(), dim=1)
        shown_S, owner_S = _joined(self.shown, units_WH.device)
        compared_C, owner_C = _joined(self.compared, units_WH.device)
        counts = np.array([len(own) for own in self.compared if len(own)])
        if not len(counts):
            return outputs_WH.sum() * 0.0
        sums_BH = units_WH.new_zeros(len(self.shown), units_WH.shape[1]).index_add(0, owner_S, units_WH[shown_S])
        cosine_C = _SCALE * (normalize(sums_BH, dim=1)[owner_C] * units_WH[compared_C]).sum(dim=1)
        return choice_loss(cosine_C, counts, owner_C.new_zeros(len(counts)), options)

    def scores(self, network: EmbeddingNetwork) -> Iterator[torch.Tensor]:
        """Cosines of each user's mean with every item, [B, C] a piece."""
        import torch
        from torch.nn.functional import embedding_bag, normalize

        items_NH = embed_corpus(network, self.corpus)
        taken, _ = _joined(self.histories, items_NH.device)
        starts = np.cumsum([0, *(len(own) for own in self.histories)])[:-1]
        offsets = torch.from_numpy(starts).to(items_NH.device)
        with torch.autocast(items_NH.device.type, enabled=False):  # bfloat16 has 256 steps: too few to rank by
            users_BH = normalize(embedding_bag(taken, items_NH, offsets, mode="mean"), dim=1)
            yield from (users_BH @ piece.T for piece in items_NH.split(PIECE))


def _joined(lists: list[np.ndarray], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Lists one after the other, and whose each value is; int64."""
    import torch

    values = np.concatenate([np.zeros(0, dtype=np.int64), *lists])
    owner = np.repeat(np.arange(len(lists)), [len(own) for own in lists])
    return torch.from_numpy(values).to(device), torch.from_numpy(owner).to(device)


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
        """input_ids and attention_mask int64 [W, T] of the items that the users are learned from, each once."""
        users = indices.tolist()
        lists = [*rows_of(self.shown, users), *rows_of(self.compared, users)]
        items, places = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *lists]), return_inverse=True)
        parted = np.split(places, np.cumsum([len(own) for own in lists])[:-1])
        tensors = text_tensors([self.corpus.ids.row(item) for item in items.tolist()], self.corpus.pad_id, device)
        asked = Compared(
            shown=parted[: len(users)],
            compared=parted[len(users) :],
            histories=rows_of(self.history, users),
            wanted=rows_of(self.wanted, users),
            corpus=self.corpus,
        )
        return Batch(tensors, asked, self.rows[indices])
