"""Texts, and pairs of texts, as token ids: bulk tokenising into Arrow, padded tensors out of it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.errors import DataError, ModelError
from raybench.models.configuration import open_config
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.rows import input_keys, key_column, ragged, ragged_column, single_chunk, target_tensor
from raybench.tasks.task import Batch

if TYPE_CHECKING:
    import torch

__all__ = ["TextExamples", "longest_input", "num_positions", "pad_id", "tokenize"]

_RAW = ("text", "text_pair")


def tokenize(rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
    """`text` (and `text_pair`) replaced by `input_ids`, `token_type_ids` for pairs, `length` and `key`.

    A pair is cut at its longer side; `max_length` counts the tokenizer's special tokens.
    """
    tokenizer = open_tokenizer(model)
    texts = [model.instruction + text for text in _texts(rows, "text")]
    paired = "text_pair" in rows.column_names
    encoded = (
        tokenizer(
            texts,
            _texts(rows, "text_pair") if paired else None,
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
    columns = {"input_ids": ragged_column(encoded["input_ids"])}
    if paired:
        columns["token_type_ids"] = ragged_column(encoded["token_type_ids"])
    ids = columns["input_ids"]
    values, offsets = ids.values.to_numpy(), ids.offsets.to_numpy()
    types = columns["token_type_ids"].values.to_numpy() if paired else np.zeros(0, dtype=np.int32)
    bounds = offsets.tolist()
    key = key_column(values[a:b].tobytes() + types[a:b].tobytes() for a, b in itertools.pairwise(bounds))
    kept = {name: rows.column(name) for name in rows.column_names if name not in _RAW}
    return pa.table({**kept, **columns, "length": pa.array(np.diff(offsets).astype(np.int32)), "key": key})


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


def _texts(rows: pa.Table, name: str) -> list[str]:
    texts: list[str | None] = rows.column(name).to_pylist()
    missing = next((i for i, text in enumerate(texts) if text is None), None)
    if missing is not None:
        raise DataError(f"column {name!r}: row {missing} has no text (null); fill it or leave the row out")
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
