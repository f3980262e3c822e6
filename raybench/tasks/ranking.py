"""The best documents of each query, out of scores that come a piece of the corpus at a time.

    ranked = rank(pieces, relevant, depth)       # pieces of [B, C] scores, one after the other; never [B, N] at once

Equal scores go by the documents' place. Shapes: B queries, C documents of a piece, N of the corpus, K the depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["PIECE", "Ranked", "rank"]

PIECE = 8192  # documents scored at once


class Ranked(NamedTuple):
    """By query the indices of the K best documents, best first, and of what else is relevant; with their scores."""

    indices: list[np.ndarray]
    scores: list[np.ndarray]


def rank(pieces: Iterable[torch.Tensor], relevant: Sequence[np.ndarray], depth: int) -> Ranked:
    """`relevant` are the indices of each query's own documents, which are kept however low they score."""
    import torch

    owner = np.repeat(np.arange(len(relevant)), [len(own) for own in relevant])
    wanted = np.concatenate([np.zeros(0, dtype=np.int64), *relevant]).astype(np.int64)
    told = np.zeros(len(wanted), dtype=np.float32)
    best_BK, index_BK, start = None, None, 0
    for scores_BC in pieces:
        scores_BC, stop = scores_BC.float(), start + scores_BC.shape[1]
        here = (wanted >= start) & (wanted < stop)
        rows, columns = torch.from_numpy(owner[here]), torch.from_numpy(wanted[here] - start)
        told[here] = scores_BC[rows.to(scores_BC.device), columns.to(scores_BC.device)].cpu().numpy()
        index_BC = torch.arange(start, stop, device=scores_BC.device).expand(len(scores_BC), -1)
        if best_BK is not None and index_BK is not None:
            scores_BC, index_BC = torch.cat([best_BK, scores_BC], dim=1), torch.cat([index_BK, index_BC], dim=1)
        order = scores_BC.argsort(dim=1, descending=True, stable=True)[:, :depth]
        best_BK, index_BK, start = scores_BC.gather(1, order), index_BC.gather(1, order), stop
    if best_BK is None or index_BK is None:
        return Ranked([own[:0] for own in relevant], [np.zeros(0, dtype=np.float32) for _ in relevant])
    best, found = best_BK.cpu().numpy(), index_BK.cpu().numpy()
    indices, scores = [], []
    for row, own in enumerate(relevant):
        lower = ~np.isin(own, found[row])
        indices.append(np.concatenate([found[row], own[lower]]))
        scores.append(np.concatenate([best[row], told[owner == row][lower]]))
    return Ranked(indices, scores)
