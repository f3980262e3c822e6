"""Prompts with masks in place of the answer: each label's words are judged at the masks, a row for each number of them.

Shapes: B examples, C labels, M masks of an example's rows together, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.mask_rows import MaskRows
from raybench.tasks.overlapping_windows import window_columns
from raybench.tasks.prompt_texts import Asked
from raybench.tasks.rows import ragged_column, target_tensor
from raybench.tasks.task import Batch

if TYPE_CHECKING:
    import torch

__all__ = ["Judged", "LabelWords", "MaskPrompts", "label_words", "mask_prompt_columns", "masked_scores"]


class LabelWords(NamedTuple):
    """Pieces of each label's words; `mask` [n], `token` [n], `label` [n]: label c is judged by its pieces at masks."""

    counts: tuple[int, ...]  # the different numbers of pieces, ascending: a model row each
    mask: np.ndarray
    token: np.ndarray
    label: np.ndarray


def label_words(model: ModelSpec, words: Sequence[str], *, spaced: bool) -> LabelWords:
    """Pieces as they stand after a space, or not; one after the other in rows of as many masks."""
    tokenizer = open_tokenizer(model)
    ids = [tokenizer((" " if spaced else "") + word, add_special_tokens=False)["input_ids"] for word in words]
    empty = next((word for word, own in zip(words, ids, strict=True) if not own), None)
    if empty is not None:
        raise IncompatibleError(
            f"model {model.reference!r}: its tokenizer makes no piece of the label's word {empty!r}"
        )
    counts = sorted({len(own) for own in ids})
    first = dict(zip(counts, np.cumsum(counts) - counts, strict=True))
    return LabelWords(
        counts=tuple(counts),
        mask=np.concatenate([first[len(own)] + np.arange(len(own)) for own in ids]),
        token=np.concatenate(ids).astype(np.int64),
        label=np.repeat(np.arange(len(ids)), [len(own) for own in ids]),
    )


def mask_prompt_columns(
    asked: Sequence[Asked], words: LabelWords, model: ModelSpec, longest: int
) -> dict[str, pa.Array]:
    """Model rows of each prompt, one for each number of masks, and where the masks stand.

    A prompt that is too long even so loses its beginning, after what the tokenizer puts there.
    """
    tokenizer = open_tokenizer(model)
    mask = str(tokenizer.mask_token)
    texts = [one.before + mask * count + one.after for one in asked for count in words.counts]
    ids = tokenizer(texts, verbose=False)["input_ids"] if texts else []
    windows, positions = [], []
    for start in range(0, len(ids), len(words.counts)):
        rows = ids[start : start + len(words.counts)]
        rows = [row if len(row) <= longest else [row[0], *row[len(row) - longest + 1 :]] for row in rows]
        flat = np.concatenate(rows)
        windows.append(rows)
        positions.append(np.flatnonzero(flat == tokenizer.mask_token_id)[-sum(words.counts) :].tolist())
    return {**window_columns(windows), "mask_positions": ragged_column(positions)}


class Judged(NamedTuple):
    """What a batch of prompts is judged by."""

    answers: torch.Tensor  # int64 [B], the right label
    words: LabelWords


class MaskPrompts(MaskRows):
    """Prepared prompts with masks; the answers are labels."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, answers: np.ndarray, words: LabelWords) -> None:
        super().__init__(prepared, model)
        self.answers, self.words = answers, words

    def units(self, indices: np.ndarray) -> int:
        return len(indices)

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """Inputs with `positions` [B · M]; targets `Judged`."""
        inputs, counts = self.mask_inputs(indices, padded, device)
        return Batch(inputs, Judged(target_tensor(self.answers[indices], device), self.words), counts)


def masked_scores(logits_SV: torch.Tensor, judged: Judged) -> torch.Tensor:
    """The sum of ln p of each label's pieces at the masks, float32 [B, C]."""
    import torch

    device = logits_SV.device
    num_examples, num_labels = len(judged.answers), int(judged.words.label[-1]) + 1
    log_BMV = logits_SV.log_softmax(dim=-1).view(num_examples, -1, logits_SV.shape[-1])
    mask, token, label = (torch.from_numpy(part).to(device) for part in judged.words[1:])
    own = log_BMV[:, mask, token]
    return own.new_zeros((num_examples, num_labels)).index_add(1, label, own)
