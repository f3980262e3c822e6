"""Choices as continuations of a context for a causal language model: their tokens, and the likelihood of each.

Shapes: B examples, W choices of all of them, T positions, S scored tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.tasks.language import (
    Continuations,
    beginning,
    context_length,
    encode_after,
    padded_rows,
    token_losses,
    whole_fours,
)
from raybench.tasks.rows import input_keys, key_column, ragged, ragged_column, target_tensor
from raybench.tasks.task import Batch
from raybench.tasks.text_inputs import pad_id

if TYPE_CHECKING:
    import torch

    from raybench.models.language import LanguageNetwork
    from raybench.models.network import Network

__all__ = ["ContinuationExamples", "Continued", "choice_scores", "continuation_columns", "summed_scores"]


class Continued(NamedTuple):
    """What a batch scores: whole rows for training, and for scoring each choice as it continues its example."""

    ids: torch.Tensor  # int64 [S], in the order of the rows' positions
    row: torch.Tensor  # int64 [S], the choice each is of
    answers: torch.Tensor  # int64 [B], the right choice
    continuations: Continuations


def continuation_columns(
    contexts: Sequence[str], choices: Sequence[Sequence[str]], model: ModelSpec, max_length: int
) -> dict[str, pa.Array]:
    """Columns `context_ids`, `choice_ids` (one after the other), `choice_sizes`, `length` and `key`.

    A context that is too long loses its beginning, the same for all its choices. `length` is that of the context and
    all its choices together, for that is what is forwarded.
    """
    longest = context_length(model, max_length)
    counts = [len(some) for some in choices]
    encoded = encode_after(
        model,
        [context for context, count in zip(contexts, counts, strict=True) for _ in range(count)],
        [choice for some in choices for choice in some],
    )
    begin, alone = beginning(model, always=False), None
    before, after, sizes, keys, lengths = [], [], [], [], []
    place = 0
    for count in counts:
        own = [ids[:longest] for _, ids in encoded[place : place + count]]
        context = begin + encoded[place][0]
        if not context:
            alone = beginning(model, always=True) if alone is None else alone
            context = alone
        context = context[-(longest + 1 - max(map(len, own))) :]
        place += count
        before.append(context)
        after.append([piece for ids in own for piece in ids])
        sizes.append([len(ids) for ids in own])
        lengths.append(len(context) + sum(sizes[-1]))
        keys.append(b"|".join(np.array(part, np.int32).tobytes() for part in (context, after[-1], sizes[-1])))
    return {
        "context_ids": ragged_column(before),
        "choice_ids": ragged_column(after),
        "choice_sizes": ragged_column(sizes),
        "length": pa.array(lengths, pa.int32()),
        "key": key_column(keys),
    }


class ContinuationExamples:
    """Prepared contexts with their choices; `lengths` and `rows` are those of whole rows, context and choice each."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, answers: np.ndarray) -> None:
        self.contexts = ragged(prepared, "context_ids")
        self.choices = ragged(prepared, "choice_ids")
        self.sizes = ragged(prepared, "choice_sizes")
        self.rows = np.diff(self.sizes.offsets).astype(np.int32)
        starts = self.sizes.offsets[:-1] - self.sizes.offsets[0]
        own = self.sizes.values[self.sizes.offsets[0] : self.sizes.offsets[-1]]
        most = np.maximum.reduceat(own, starts) if len(starts) else np.zeros(0, np.int32)
        self.lengths = (np.diff(self.contexts.offsets) + most - 1).astype(np.int32)
        self.keys = input_keys(prepared)
        self.answers = answers
        self.pad_id = pad_id(model)

    def __len__(self) -> int:
        return len(self.lengths)

    def units(self, indices: np.ndarray) -> int:
        return len(indices)

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """input_ids, attention_mask int64 [W, T], positions [S]: every choice behind its context."""
        import torch

        width = whole_fours(int(self.lengths[indices].max()))
        contexts: list[np.ndarray] = []
        continuations: list[np.ndarray] = []
        rows: list[np.ndarray] = []
        positions: list[np.ndarray] = []
        for index in indices.tolist():
            context = self.contexts.row(index)
            contexts.append(context)
            ends = np.cumsum(self.sizes.row(index))[:-1]
            for choice in np.split(self.choices.row(index), ends):
                positions.append(len(rows) * width + len(context) - 1 + np.arange(len(choice)))
                rows.append(np.concatenate([context, choice[:-1]]))
                continuations.append(choice)
        ids_WT, mask_WT = padded_rows(rows, width, self.pad_id)
        row_S = np.repeat(np.arange(len(rows)), [len(choice) for choice in continuations])
        arrays = {"input_ids": ids_WT, "attention_mask": mask_WT, "positions": np.concatenate(positions)}
        tensors = {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in arrays.items()}
        counts = self.rows[indices].astype(np.int64)
        targets = Continued(
            ids=target_tensor(np.concatenate(continuations), device),
            row=target_tensor(row_S, device),
            answers=target_tensor(self.answers[indices], device),
            continuations=Continuations(contexts, continuations, np.repeat(np.arange(len(indices)), counts)),
        )
        return Batch(tensors, targets, counts)


def summed_scores(logits_SV: torch.Tensor, targets: Continued) -> torch.Tensor:
    """ln p of each choice, float32 [W], from the logits of whole rows; for training."""
    from torch.nn.functional import cross_entropy

    nll_S = cross_entropy(logits_SV, targets.ids, reduction="none")
    return nll_S.new_zeros(len(targets.continuations.texts)).index_add(0, targets.row, -nll_S)


def choice_scores(network: Network, batch: Batch) -> np.ndarray:
    """ln p of each choice after its context, float64 [W] on the host; contexts are forwarded once where that can be."""
    from raybench.tasks.shared_context import continuation_losses, shares_context

    words = cast("LanguageNetwork", network)
    targets: Continued = batch.targets
    nll_S: np.ndarray | None = None
    if shares_context(words):
        nll_S = continuation_losses(words, targets.continuations, batch.inputs["input_ids"].device)
    if nll_S is None:
        nll_S = token_losses(words, batch.inputs, targets.ids)
    sizes = [len(one) for one in targets.continuations.texts]
    row_S = np.repeat(np.arange(len(sizes)), sizes)  # as `targets.row` on the device, which need not be waited for
    return -np.bincount(row_S, weights=nll_S, minlength=len(sizes))
