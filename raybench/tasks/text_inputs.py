"""Texts, and pairs of texts, as token ids: bulk tokenising into Arrow, padded tensors out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.errors import DataError, ModelError
from raybench.models.configuration import open_config
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.rows import input_keys, ragged, ragged_column, ragged_keys, single_chunk, target_tensor
from raybench.tasks.task import Batch

if TYPE_CHECKING:
    import torch

__all__ = ["TextExamples", "longest_input", "num_positions", "pad_id", "tokenize"]

_RAW = ("text", "text_pair")
_ROWS = 1 << 13  # at once: what a tokenizer gives takes 4 kB a row until it is in columns


def tokenize(rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
    """`text` (and `text_pair`) replaced by `input_ids`, `token_type_ids` for pairs, `length` and `key`.

    A pair is cut at its longer side; `max_length` counts the tokenizer's special tokens.
    """
    starts = range(0, max(rows.num_rows, 1), _ROWS)
    parts = [_token_columns(rows.slice(start, _ROWS), start, model, max_length) for start in starts]
    columns = {name: pa.chunked_array([part[name] for part in parts]).combine_chunks() for name in parts[0]}
    kept = {name: rows.column(name) for name in rows.column_names if name not in _RAW}
    return pa.table({**kept, **columns})


def _token_columns(rows: pa.Table, start: int, model: ModelSpec, max_length: int) -> dict[str, pa.Array]:
    """What `tokenize` makes of some rows, of which the first is `start`."""
    texts = [model.instruction + text for text in _texts(rows, "text", start)]
    paired = "text_pair" in rows.column_names
    encoded = (
        open_tokenizer(model)(
            texts,
            _texts(rows, "text_pair", start) if paired else None,
            truncation="longest_first",
            max_length=longest_input(model, max_length),
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=paired,
            verbose=False,
        )
        if texts
        else {"input_ids": [], "token_type_ids": []}
    )
    names = ["input_ids", "token_type_ids"] if paired else ["input_ids"]
    columns = {name: ragged_column(encoded[name]) for name in names}
    lengths = np.diff(columns["input_ids"].offsets.to_numpy()).astype(np.int32)
    return {**columns, "length": pa.array(lengths), "key": ragged_keys(*columns.values())}


def longest_input(model: ModelSpec, max_length: int) -> int:
    """How many pieces, special ones included, the model is given at most where a dataset allows `max_length`."""
    # RoBERTa and its kin number positions from behind the padding id: of 514 they use 512, as their tokenizers know
    return int(min(max_length, num_positions(model) or max_length, open_tokenizer(model).model_max_length))


def pad_id(model: ModelSpec) -> int:
    """The id that rows are padded with; what stands there is masked, so any would do."""
    return getattr(open_config(model), "pad_token_id", None) or 0


def num_positions(model: ModelSpec) -> int | None:
    """How many positions the model's configuration states, or None where there is no limit."""
    positions = getattr(open_config(model), "max_position_embeddings", None)
    if positions is not None and positions < 1:
        raise ModelError(
            f"model {model.reference!r}: its configuration says max_position_embeddings {positions}; "
            "want a whole number from 1"
        )
    return positions


def _texts(rows: pa.Table, name: str, start: int) -> list[str]:
    texts: list[str | None] = rows.column(name).to_pylist()
    missing = next((i for i, text in enumerate(texts) if text is None), None)
    if missing is not None:
        raise DataError(f"column {name!r}: row {start + missing} has no text (null); fill it or leave the row out")
    return [text for text in texts if text is not None]


class TextExamples:
    """Tokenised rows; padding is on the right, with the model's own padding id."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, targets: np.ndarray) -> None:
        self.ids = ragged(prepared, "input_ids")
        self.types = ragged(prepared, "token_type_ids") if "token_type_ids" in prepared.column_names else None
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.keys = input_keys(prepared)
        self.targets = targets
        config = open_config(model)
        self.pad_id = pad_id(model)
        self.has_types = self.types is not None and getattr(config, "type_vocab_size", 0) > 1

    def __len__(self) -> int:
        return len(self.lengths)

    def units(self, indices: np.ndarray) -> int:
        return len(indices)

    def occurring_words(self) -> np.ndarray:
        """int64 [U], sorted: the ids of all rows, and that of the padding."""
        counts = np.bincount(self.ids.values, minlength=self.pad_id + 1)
        counts[self.pad_id] += 1
        return np.flatnonzero(counts)

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """input_ids and attention_mask int64 [B, padded], targets [B, …]."""
        import torch

        positions = np.arange(padded)
        mask = positions < self.lengths[indices][:, None]
        where = self.ids.offsets[indices][:, None] + np.where(mask, positions, 0)
        inputs = {
            "input_ids": np.where(mask, self.ids.values[where], self.pad_id).astype(np.int64),
            "attention_mask": mask.astype(np.int64),
        }
        if self.has_types and self.types is not None:
            inputs["token_type_ids"] = np.where(mask, self.types.values[where], 0).astype(np.int64)
        return Batch(
            {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in inputs.items()},
            target_tensor(self.targets[indices], device),
        )
