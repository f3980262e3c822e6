"""Texts for a masked language model: every token is masked once, alone or together with a drawn share of its text.

Windows over a text that is longer than the model overlap by half, and a token is masked in the one where it has most on
both sides. Which tokens are masked together is drawn by (seed, id). Shapes: R model rows, T positions, S scored tokens.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.identity import seeded_digest
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.language import encode_after
from raybench.tasks.overlapping_windows import cut, frame_of, room_in
from raybench.tasks.rows import key_column, ragged, ragged_column
from raybench.tasks.scored_texts import ScoredTexts, text_sizes
from raybench.tasks.task import Batch
from raybench.tasks.text_inputs import longest_input

if TYPE_CHECKING:
    import torch

__all__ = ["MaskedExamples", "masked_rows", "prepare_masked"]


def prepare_masked(rows: pa.Table, model: ModelSpec, max_length: int, share: float, seed: int) -> pa.Table:
    """`text` replaced by `input_ids` (instruction and the text's own), `first` (the place of the text's first token),
    `mask_row` (the model row in which each of its tokens is masked), `row_start` (where the window of each row begins)
    and what the text has of tokens, words and bytes."""
    texts = rows.column("text").to_pylist()
    frame = frame_of(open_tokenizer(model), pair=False)
    longest = longest_input(model, max_length)
    columns: dict[str, list[list[int]]] = {name: [] for name in ("input_ids", "mask_row", "row_start")}
    lengths, keys = [], []
    for name, (before, own) in zip(
        rows.column("id").to_pylist(), encode_after(model, [model.instruction] * len(texts), texts), strict=True
    ):
        room = room_in(longest, frame.size + len(before))
        draw = np.random.default_rng(int.from_bytes(seeded_digest(seed, name, 8), "big"))
        mask_row, starts = masked_rows(len(own), room, share, draw)
        columns["input_ids"].append(before + own)
        columns["mask_row"].append(mask_row.tolist())
        columns["row_start"].append(starts or [0])
        lengths.append(max(1, frame.size + len(before) + min(room, len(own))))
        keys.append(b"|".join(np.array(part, np.int32).tobytes() for part in (before, own, mask_row)))
    sizes = np.array([len(own) for own in columns["mask_row"]], dtype=np.int64)
    begins = "".join(map(str, open_tokenizer(model).convert_ids_to_tokens(list(frame.pieces[0]))))
    return pa.table(
        {
            **{name: rows.column(name) for name in rows.column_names if name != "text"},
            **{name: ragged_column(lists) for name, lists in columns.items()},
            "first": pa.array([len(ids) - size for ids, size in zip(columns["input_ids"], sizes.tolist(), strict=True)],
                              pa.int32()),
            "begins_with": pa.array([begins] * len(texts), pa.string()),
            **text_sizes(texts),
            "num_tokens": pa.array(sizes),
            "rows": pa.array([len(own) for own in columns["row_start"]], pa.int32()),
            "length": pa.array(lengths, pa.int32()),
            "key": key_column(keys),
        }
    )  # fmt: skip


def masked_rows(count: int, room: int, share: float, draw: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """The model row that masks each of `count` tokens, and where the window of each row begins; no row is idle."""
    windows = cut(count, room, room // 2)
    positions = np.arange(count)
    around = np.stack([np.minimum(positions - start, stop - 1 - positions) for start, stop in windows])
    at_edge = np.stack(  # the ends of a text are no edges of what the model sees
        [
            np.where(start == 0, stop - 1 - positions, np.where(stop == count, positions - start, around[window]))
            for window, (start, stop) in enumerate(windows)
        ]
    )
    inside = np.stack([(positions >= start) & (positions < stop) for start, stop in windows])
    window_of = np.where(inside, at_edge, -1).argmax(axis=0) if count else np.zeros(0, np.int64)
    mask_row = np.zeros(count, dtype=np.int64)
    starts: list[int] = []
    for window, (start, _) in enumerate(windows):
        own = np.flatnonzero(window_of == window)
        if len(own):
            most = max(1, math.floor(share * len(own)))
            rank = np.empty(len(own), dtype=np.int64)
            rank[draw.permutation(len(own)) if most > 1 else np.arange(len(own))] = np.arange(len(own))
            num_rows = -(-len(own) // most)
            mask_row[own] = len(starts) + rank % num_rows
            starts += [start] * num_rows
    return mask_row, starts


class MaskedExamples(ScoredTexts):
    """Prepared texts; each is as many model rows as its tokens need."""

    def __init__(self, prepared: pa.Table, model: ModelSpec, max_length: int) -> None:
        super().__init__(prepared, model)
        self.mask_row, self.row_start = ragged(prepared, "mask_row"), ragged(prepared, "row_start")
        tokenizer = open_tokenizer(model)
        self.mask_id = int(tokenizer.mask_token_id)
        frame = frame_of(tokenizer, pair=False)
        self.front, self.back = (np.array(pieces, dtype=np.int32) for pieces in frame.pieces)
        self.room = longest_input(model, max_length) - frame.size

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """input_ids, attention_mask int64 [R, padded], positions [S] of masks; targets are the tokens under them."""
        rows: list[np.ndarray] = []
        positions, targets = [], []
        for index in indices.tolist():
            before, own = np.split(self.ids.row(index), [int(self.first[index])])
            mask_row, starts = self.mask_row.row(index), self.row_start.row(index)
            by_row = np.split(np.argsort(mask_row, kind="stable"), np.cumsum(np.bincount(mask_row, minlength=1))[:-1])
            for start, masked in zip(starts.tolist(), by_row, strict=True):
                window = own[start : start + self.room - len(before)].copy()
                window[masked - start] = self.mask_id
                row = np.concatenate([self.front, before, window, self.back])
                positions.append(len(rows) * padded + len(self.front) + len(before) + masked - start)
                targets.append(own[masked])
                rows.append(row if len(row) else np.array([self.pad_id]))  # attention over nothing is not a number
        return self.scored(indices, rows, positions, targets, padded, device)
