"""Scores of choices as loss, predictions and records; examples may have different numbers of them.

Shapes: B examples, W choices of all of them, one example after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raybench.tasks.task import LossOptions

if TYPE_CHECKING:
    import torch

__all__ = ["choice_columns", "choice_loss", "padded_scores"]


def choice_loss(
    scores_W: torch.Tensor, counts_B: np.ndarray, targets_B: torch.Tensor, options: LossOptions
) -> torch.Tensor:
    """The sum over examples of −ln of the right choice's share (softmax over the example's choices)."""
    import torch

    table_BC = torch.nn.utils.rnn.pad_sequence(
        list(scores_W.split(counts_B.tolist())), batch_first=True, padding_value=float("-inf")
    )
    log_BC = table_BC.log_softmax(dim=-1)
    nll_B = -log_BC.gather(1, targets_B[:, None]).squeeze(1)
    if options.label_smoothing:
        counts = torch.from_numpy(counts_B).to(scores_W.device)
        mean_B = log_BC.masked_fill(torch.isinf(log_BC), 0.0).sum(dim=-1) / counts
        nll_B = (1 - options.label_smoothing) * nll_B - options.label_smoothing * mean_B
    return nll_B.sum()


def padded_scores(scores_W: np.ndarray, counts_B: np.ndarray) -> np.ndarray:
    """[B, most choices], −inf where an example has no such choice."""
    scores = np.full((len(counts_B), int(counts_B.max(initial=1))), -np.inf)
    scores[np.arange(scores.shape[1]) < counts_B[:, None]] = scores_W
    return scores


def choice_columns(scores_W: Any, sizes_W: np.ndarray, counts_B: np.ndarray, targets_B: np.ndarray) -> dict[str, Any]:
    """`prediction`, `prediction_norm` (scores divided by `sizes_W`) and `nll`; of equal scores the first choice.

    An example with a score that is not a number has no prediction (−1).
    """
    scores_W = np.asarray(scores_W, dtype=np.float64)
    scores_BC = padded_scores(scores_W, counts_B)
    unsure_B = np.isnan(scores_BC).any(axis=1)
    with np.errstate(invalid="ignore"):
        highest = np.where(unsure_B, np.nan, scores_BC.max(axis=1))
        total = highest + np.log(np.exp(scores_BC - highest[:, None]).sum(axis=1))
        nll_B = total - scores_BC[np.arange(len(counts_B)), targets_B]
    by_size_BC = padded_scores(scores_W / np.maximum(sizes_W, 1), counts_B)
    return {
        "prediction": pa.array(np.where(unsure_B, -1, scores_BC.argmax(axis=1)).astype(np.int32)),
        "prediction_norm": pa.array(np.where(unsure_B, -1, by_size_BC.argmax(axis=1)).astype(np.int32)),
        "nll": pa.array(np.maximum(nll_B, 0.0)),
    }
