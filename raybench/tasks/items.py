"""Items and who has taken which: the catalogue of prepared rows, and the best of it that a user does not have.

Shapes: B users, C items of a piece, K the depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.tasks.ranking import Ranked, rank
from raybench.tasks.rows import Ragged, ragged, single_chunk

if TYPE_CHECKING:
    import torch

__all__ = ["catalogue_of", "item_words", "rank_unseen", "ranked_columns", "rows_of"]


def catalogue_of(rows: pa.Table) -> pa.Array:
    """The names of all items, by place."""
    return single_chunk(rows, "catalogue").dictionary


def item_words(rows: pa.Table) -> list[str]:
    """What each item is, in words; where nothing is said its name."""
    column = "catalogue_text" if "catalogue_text" in rows.column_names else "catalogue"
    return single_chunk(rows, column).dictionary.to_pylist()


def rows_of(lists: Ragged, indices: Iterable[int]) -> list[np.ndarray]:
    """The lists of these rows, int64."""
    return [lists.row(index).astype(np.int64) for index in indices]


def rank_unseen(
    pieces: Iterator[torch.Tensor], histories: Sequence[np.ndarray], wanted: Sequence[np.ndarray], depth: int
) -> Ranked:
    """The `depth` best items of each user that are not in its history, out of [B, C] scores a piece at a time.

    What is wanted is kept however low it scores. Equal scores go by the items' places, and are told apart in their last
    digit, so that a figure of the record is that of all items: cut in the middle of equal scores, the rest of them
    would be missing.
    """
    import torch

    owner = torch.from_numpy(np.repeat(np.arange(len(histories)), [len(own) for own in histories]))
    seen = torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *histories]))

    def unseen() -> Iterator[torch.Tensor]:
        start = 0
        for scores_BC in pieces:
            stop = start + scores_BC.shape[1]
            here = (seen >= start) & (seen < stop)
            scores_BC = scores_BC.float().clone()
            scores_BC[owner[here].to(scores_BC.device), (seen[here] - start).to(scores_BC.device)] = float("-inf")
            yield scores_BC
            start = stop

    found = rank(unseen(), wanted, depth)
    indices, scores = [], []
    for own, best, score in zip(histories, found.indices, found.scores, strict=True):
        new = ~np.isin(best, own)
        order = np.lexsort((best[new][depth:], -score[new][depth:]))  # wanted ones below the depth
        indices.append(np.concatenate([best[new][:depth], best[new][depth:][order]]))
        scores.append(_told_apart(np.concatenate([score[new][:depth], score[new][depth:][order]])))
    return Ranked(indices, scores)


def _told_apart(scores: np.ndarray) -> np.ndarray:
    """Falling float32 scores, of which equal ones differ by the least that they can; with a NaN as they are."""
    if np.isnan(scores).any() or (np.diff(scores) < 0).all():
        return scores
    told = scores.copy()
    for place in range(1, len(told)):
        if told[place] >= told[place - 1]:
            told[place] = np.nextafter(told[place - 1], np.float32(-np.inf))
    return told


def ranked_columns(ranked: Ranked, rows: pa.Table) -> dict[str, pa.Array]:
    """`items` by name, best first, `relevance` 0 or 1, and `scores`."""
    wanted, numbers = ragged(rows, "item"), pa.list_(pa.float32())
    offsets = np.cumsum([0, *(len(own) for own in ranked.indices)], dtype=np.int32)
    indices = np.concatenate([np.zeros(0, dtype=np.int64), *ranked.indices])
    names = catalogue_of(rows).take(pa.array(indices)).cast(pa.string())
    relevance = [np.isin(own, wanted.row(row)).astype(np.float32) for row, own in enumerate(ranked.indices)]
    return {
        "items": pa.ListArray.from_arrays(pa.array(offsets), names),
        "relevance": pa.array(relevance, numbers),
        "scores": pa.array([one.astype(np.float32) for one in ranked.scores], numbers),
    }
