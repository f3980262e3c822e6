"""Histories as sentences whose words are items: word 0 begins each, item n is word n + 1.

Shapes: B users, T positions, S places that have a next item, V words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.tasks.items import rows_of
from raybench.tasks.language import padded_rows
from raybench.tasks.rows import input_keys, ragged, ragged_column, ragged_keys, single_chunk
from raybench.tasks.task import Batch

if TYPE_CHECKING:
    import torch

__all__ = ["SequenceExamples", "Sequences", "item_sequences"]

_BEGIN = 0


def item_sequences(rows: pa.Table, longest: int) -> pa.Table:
    """Rows with `input_ids`: the beginning and the newest items of the history, `longest` words at most."""
    history = ragged(rows, "history")
    newest = [history.row(row)[max(0, len(history.row(row)) + 1 - longest) :] for row in range(rows.num_rows)]
    ids = ragged_column([[_BEGIN, *(own + 1).tolist()] for own in newest])
    lengths = pa.array(np.diff(ids.offsets.to_numpy()).astype(np.int32))
    return rows.append_column("input_ids", ids).append_column("length", lengths).append_column("key", ragged_keys(ids))


class Sequences(NamedTuple):
    """What a batch is asked: the next words int64 [S], where each user's last word stands int64 [B], whose items."""

    ids: torch.Tensor
    last: torch.Tensor
    histories: list[np.ndarray]
    wanted: list[np.ndarray]


class SequenceExamples:
    """Prepared users; each is a model row that learns every next item, the first of those wanted the last."""

    def __init__(self, prepared: pa.Table) -> None:
        self.ids = ragged(prepared, "input_ids")
        self.history, self.wanted = ragged(prepared, "history"), ragged(prepared, "item")
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.keys = input_keys(prepared)
        self._known = np.minimum(np.diff(self.wanted.offsets), 1)  # whether there is a last one to learn

    def __len__(self) -> int:
        return len(self.lengths)

    def units(self, indices: np.ndarray) -> int:
        """How many next items there are; 1 where there are none, for their loss is 0."""
        return max(1, int((self.lengths[indices] - 1 + self._known[indices]).sum()))

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """input_ids, attention_mask int64 [B, padded] and positions [S] that have a next item."""
        import torch

        rows = [self.ids.row(index) for index in indices.tolist()]
        wanted = rows_of(self.wanted, indices.tolist())
        targets = [np.concatenate([row[1:], own[:1] + 1]) for row, own in zip(rows, wanted, strict=True)]
        positions = [row * padded + np.arange(len(own)) for row, own in enumerate(targets)]
        last = np.arange(len(rows)) * padded + np.array([len(row) - 1 for row in rows])
        ids_BT, mask_BT = padded_rows(rows, padded, _BEGIN)
        arrays = {
            "input_ids": ids_BT,
            "attention_mask": mask_BT,
            "positions": np.concatenate(positions).astype(np.int64),
        }
        tensors = {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in arrays.items()}
        ids_S = torch.from_numpy(np.concatenate(targets).astype(np.int64)).to(device, non_blocking=True)
        last_B = torch.from_numpy(last.astype(np.int64)).to(device, non_blocking=True)
        return Batch(tensors, Sequences(ids_S, last_B, rows_of(self.history, indices.tolist()), wanted))
