"""Documents as windows of token ids for a causal language model."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.models.configuration import open_config
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.language import Scored, beginning, context_length, encode_after, num_words, padded_rows
from raybench.tasks.rows import input_keys, key_column, ragged, ragged_column, single_chunk
from raybench.tasks.task import Batch
from raybench.tasks.windows import num_rolling, rolling_windows

if TYPE_CHECKING:
    import torch

__all__ = ["CausalExamples", "prepare_documents", "text_sizes"]


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
    values, bounds = ids.values.to_numpy(), ids.offsets.to_numpy().tolist()
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
            "key": key_column(values[a:b].tobytes() for a, b in itertools.pairwise(bounds)),
        }
    )


def window_stride(longest: int, stride: int | None) -> int:
    """How far windows move on: half of one, unless the job says otherwise."""
    return min(longest, max(1, longest // 2) if stride is None else stride)


def text_sizes(texts: list[str]) -> dict[str, pa.Array]:
    """Words and bytes of the raw texts."""
    return {
        "num_words": pa.array([num_words(text) for text in texts], pa.int64()),
        "num_bytes": pa.array([len(text.encode()) for text in texts], pa.int64()),
    }


class CausalExamples:
    """Prepared documents; each is one or several windows."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, max_length: int, stride: int | None) -> None:
        self.ids = ragged(prepared, "input_ids")
        self.first = single_chunk(prepared, "first").to_numpy()
        self.rows = single_chunk(prepared, "rows").to_numpy()
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.num_tokens = single_chunk(prepared, "num_tokens").to_numpy()
        self.keys = input_keys(prepared)
        self.longest = context_length(model, max_length)
        self.stride = window_stride(self.longest, stride)
        self.pad_id = getattr(open_config(model), "pad_token_id", None) or 0

    def __len__(self) -> int:
        return len(self.lengths)

    def units(self, indices: np.ndarray) -> int:
        """Tokens that are scored; 1 where there are none, for their loss is 0."""
        return max(1, int(self.num_tokens[indices].sum()))

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """input_ids, attention_mask int64 [W, padded], places [S]; targets are the tokens that follow the places."""
        import torch

        rows: list[np.ndarray] = []
        places, targets, owner = [], [], []
        for example, index in enumerate(indices.tolist()):
            ids = self.ids.values[self.ids.offsets[index] : self.ids.offsets[index + 1]]
            count = len(ids) - 1
            for start, stop, begins in rolling_windows(count, self.longest, self.stride):
                scored = np.arange(max(begins, int(self.first[index]) - 1), stop)
                places.append(len(rows) * padded + scored - start)
                targets.append(ids[scored + 1])
                owner.append(np.full(len(scored), example))
                rows.append(ids[start : max(stop, start + 1)])
        ids_WT, mask_WT = padded_rows(rows, padded, self.pad_id)
        arrays = {"input_ids": ids_WT, "attention_mask": mask_WT, "places": np.concatenate(places)}
        tensors = {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in arrays.items()}
        scored_ids = torch.from_numpy(np.concatenate(targets).astype(np.int64)).to(device, non_blocking=True)
        return Batch(tensors, Scored(scored_ids, np.concatenate(owner)), self.rows[indices])
