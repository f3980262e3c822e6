"""Choices as second texts beside a question, for a network that gives each pair one score.

Shapes: B examples, W choices of all of them, T positions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey, ModelSpec
from raybench.models.configuration import from_scratch, open_config
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.head_labels import saved_with_head
from raybench.tasks.overlapping_windows import WindowExamples, window_columns
from raybench.tasks.rows import ragged, ragged_column, target_tensor
from raybench.tasks.task import Batch
from raybench.tasks.text_inputs import longest_input

if TYPE_CHECKING:
    import torch

    from raybench.models.network import Network

__all__ = ["PairExamples", "has_choice_head", "open_choice_network", "pair_columns"]

HEAD = "ForMultipleChoice"


def pair_columns(
    questions: Sequence[str], choices: Sequence[Sequence[str]], model: ModelSpec, max_length: int
) -> dict[str, pa.Array]:
    """A model row for every choice, after the question; a pair that is too long is cut at its longer side."""
    counts = [len(some) for some in choices]
    first = [question for question, count in zip(questions, counts, strict=True) for _ in range(count)]
    second = [choice for some in choices for choice in some]
    encoded = (
        open_tokenizer(model)(
            first,
            second,
            truncation="longest_first",
            max_length=longest_input(model, max_length),
            return_attention_mask=False,
            return_token_type_ids=True,
            verbose=False,
        )
        if first
        else {"input_ids": [], "token_type_ids": []}
    )
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(int).tolist()
    spans = list(itertools.pairwise(bounds))
    types = [[kind for row in encoded["token_type_ids"][a:b] for kind in row] for a, b in spans]
    return {**window_columns(encoded["input_ids"][a:b] for a, b in spans), "token_type_ids": ragged_column(types)}


class PairExamples(WindowExamples):
    """Prepared pairs; every choice of an example is a model row."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, answers: np.ndarray) -> None:
        super().__init__(prepared, model)
        self.types = ragged(prepared, "token_type_ids").values
        self.answers = answers

    def units(self, indices: np.ndarray) -> int:
        return len(indices)

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """input_ids, attention_mask and token_type_ids int64 [W, padded]; targets int64 [B]."""
        places = self.padded(indices, padded)
        answers = target_tensor(self.answers[indices], device)
        return Batch(self.inputs(places, device, self.types), answers, places.counts)


def has_choice_head(model: ModelSpec) -> bool:
    """Whether the checkpoint was saved with a head that scores choices."""
    return not from_scratch(model) and saved_with_head(open_config(model), HEAD)


def open_choice_network(model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
    """One score a pair: the checkpoint's own head, or a fresh one on pooled hidden states."""
    from transformers import AutoModelForMultipleChoice

    from raybench.models.backbone import open_backbone, open_pretrained
    from raybench.models.network import ChoiceNetwork, PooledNetwork
    from raybench.models.pooling import pooling_of

    if own_head and has_choice_head(model):
        opened = open_pretrained(AutoModelForMultipleChoice, model, open_config(model), seed)
        return ChoiceNetwork(opened.eval(), None)
    return PooledNetwork(open_backbone(model, seed), pooling_of(model), num_outputs=1, seed=seed)
