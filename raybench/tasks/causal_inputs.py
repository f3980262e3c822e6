"""Documents as windows of token ids for a causal language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.language import beginning, context_length, encode_after
from raybench.tasks.rows import ragged_column, ragged_keys
from raybench.tasks.scored_texts import ScoredTexts, text_sizes
from raybench.tasks.task import Batch
from raybench.tasks.windows import num_rolling, rolling_windows

if TYPE_CHECKING:
    import torch

__all__ = ["CausalExamples", "prepare_documents"]


def prepare_documents(rows: pa.Table, model: ModelSpec, max_length: int, stride: int | None) -> pa.Table:
    """`text` replaced by `input_ids` (what a text begins with, the instruction, the text's own), `first` (the place
    of the text's first token) and what the text has of tokens, words and bytes."""
    longest = context_length(model, max_length)
    texts = rows.column("text").to_pylist()
    begin = beginning(model, always=True)
    parts = encode_after(model, [model.instruction] * len(texts), texts)
    ids = ragged_column([begin + before + own for before, own in parts])
    first = np.array([len(begin) + len(before) for before, _ in parts], dtype=np.int32)
    inputs = np.diff(ids.offsets.to_numpy()) - 1  # the last token is only predicted
    num_windows = [num_rolling(int(count), longest, window_stride(longest, stride)) for count in inputs]
    kept = {name: rows.column(name) for name in rows.column_names if name != "text"}
    begins_with = open_tokenizer(model).convert_ids_to_tokens(begin)
    return pa.table(
        {
            **kept,
            "input_ids": ids,
            "first": pa.array(first),
            "begins_with": pa.array(["".join(begins_with)] * len(texts), pa.string()),
            **text_sizes(texts),
            "num_tokens": pa.array([len(own) for _, own in parts], pa.int64()),
            "rows": pa.array(num_windows, pa.int32()),
            "length": pa.array(np.clip(inputs, 1, longest).astype(np.int32)),
            "key": ragged_keys(ids),
        }
    )


def window_stride(longest: int, stride: int | None) -> int:
    """How far windows move on: half of one, unless the job says otherwise."""
    return min(longest, max(1, longest // 2) if stride is None else stride)


class CausalExamples(ScoredTexts):
    """Prepared documents; each is one or several windows."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, max_length: int, stride: int | None) -> None:
        super().__init__(prepared, model)
        self.longest = context_length(model, max_length)
        self.stride = window_stride(self.longest, stride)

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """input_ids, attention_mask int64 [W, padded], positions [S]; targets are the tokens that follow them."""
        rows: list[np.ndarray] = []
        positions, targets = [], []
        for index in indices.tolist():
            ids = self.ids.row(index)
            for start, stop, begins in rolling_windows(len(ids) - 1, self.longest, self.stride):
                scored = np.arange(max(begins, int(self.first[index]) - 1), stop)
                positions.append(len(rows) * padded + scored - start)
                targets.append(ids[scored + 1])
                rows.append(ids[start : max(stop, start + 1)])
        return self.scored(indices, rows, positions, targets, padded, device)
