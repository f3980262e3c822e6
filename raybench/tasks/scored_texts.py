"""Texts whose every token a language model scores once: what is prepared of them, and batches of their model rows.

Shapes: R model rows of a batch, T positions, S scored tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.tasks.language import Scored, num_words, padded_rows
from raybench.tasks.rows import input_keys, ragged, single_chunk
from raybench.tasks.task import Batch
from raybench.tasks.text import plain_rows
from raybench.tasks.text_inputs import pad_id

if TYPE_CHECKING:
    import torch

__all__ = ["ScoredTexts", "byte_texts", "text_sizes"]


def text_sizes(texts: list[str]) -> dict[str, pa.Array]:
    """Words and bytes of the raw texts."""
    return {
        "num_words": pa.array([num_words(text) for text in texts], pa.int64()),
        "num_bytes": pa.array([len(text.encode()) for text in texts], pa.int64()),
    }


def byte_texts(rows: pa.Table) -> pa.Table:
    """Raw texts as baselines score them: their tokens are bytes, and nothing stands before them."""
    sizes = text_sizes(rows.column("text").to_pylist())
    table = plain_rows(rows, ["text"]).append_column("begins_with", pa.array([""] * rows.num_rows, pa.string()))
    for name, values in {**sizes, "num_tokens": sizes["num_bytes"]}.items():
        table = table.append_column(name, values)
    return table


class ScoredTexts:
    """Prepared texts: `input_ids`, `first` (the place of the text's own first token), `rows` and `num_tokens`."""

    def __init__(self, prepared: pa.Table, model: ModelSpec) -> None:
        self.ids = ragged(prepared, "input_ids")
        self.first = single_chunk(prepared, "first").to_numpy()
        self.rows = single_chunk(prepared, "rows").to_numpy()
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.num_tokens = single_chunk(prepared, "num_tokens").to_numpy()
        self.keys = input_keys(prepared)
        self.pad_id = pad_id(model)

    def __len__(self) -> int:
        return len(self.lengths)

    def units(self, indices: np.ndarray) -> int:
        """Tokens that are scored; 1 where there are none, for their loss is 0."""
        return max(1, int(self.num_tokens[indices].sum()))

    def scored(
        self, indices: np.ndarray, rows: Sequence[np.ndarray], positions: Sequence[np.ndarray],
        targets: Sequence[np.ndarray], padded: int, device: torch.device,
    ) -> Batch:  # fmt: skip
        """input_ids, attention_mask int64 [R, padded] and positions [S] of `rows`; targets are the tokens scored there.

        `positions` and `targets` come in parts, as many of an example as it has rows.
        """
        import torch

        ids_RT, mask_RT = padded_rows(rows, padded, self.pad_id)
        arrays = {
            "input_ids": ids_RT,
            "attention_mask": mask_RT,
            "positions": np.concatenate(positions).astype(np.int64),
        }
        tensors = {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in arrays.items()}
        ids_S = torch.from_numpy(np.concatenate(targets).astype(np.int64)).to(device, non_blocking=True)
        counts = self.rows[indices].astype(np.int64)
        owner_R = np.repeat(np.arange(len(indices)), counts)
        owner_S = np.repeat(owner_R, [len(part) for part in targets])
        return Batch(tensors, Scored(ids_S, owner_S), counts)
