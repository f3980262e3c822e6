"""Long inputs as overlapping windows: how they are cut, framed with special pieces, kept in Arrow and padded.

    cut(10, room=4, overlap=2)         # [(0, 4), (2, 6), (4, 8), (6, 10)]

A prepared row holds all windows of an example, one after the other: `input_ids` and `window_lengths`, lists of int32.
Shapes: R model rows (windows) of a batch, T positions each is padded to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import open_config
from raybench.tasks.rows import input_keys, key_column, ragged, ragged_column, single_chunk
from raybench.tasks.text_inputs import pad_id

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

__all__ = ["Frame", "Padded", "WindowExamples", "cut", "frame_of", "room_in", "window_columns"]


class Frame(NamedTuple):
    """The special pieces that a tokenizer puts before, between and behind its one or two texts, with their types."""

    pieces: tuple[tuple[int, ...], ...]
    types: tuple[tuple[int, ...], ...]
    of_text: tuple[int, ...]  # the type of each text's own pieces

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))


def frame_of(tokenizer: PreTrainedTokenizerBase, *, pair: bool) -> Frame:
    """What is around one text, or around two, found by encoding some.

    Raises:
        IncompatibleError: a tokenizer that cannot tell which piece is of which text.
    """
    if not tokenizer.is_fast:
        raise IncompatibleError(
            f"tokenizer {tokenizer.name_or_path}: cannot tell which piece is of which word (it is not a fast one); "
            "save it with a tokenizer.json"
        )
    texts = ["a", "a"] if pair else ["a"]
    encoded = tokenizer(*texts, return_token_type_ids=True, return_attention_mask=False)
    pieces: list[list[int]] = [[] for _ in range(len(texts) + 1)]
    types: list[list[int]] = [[] for _ in range(len(texts) + 1)]
    of_text = [0] * len(texts)
    place = 0
    for piece, kind, text in zip(encoded["input_ids"], encoded["token_type_ids"], encoded.sequence_ids(0), strict=True):
        if text is None:
            pieces[place].append(piece)
            types[place].append(kind)
        else:
            place, of_text[text] = text + 1, kind
    return Frame(tuple(map(tuple, pieces)), tuple(map(tuple, types)), tuple(of_text))


def room_in(longest: int, taken: int) -> int:
    """How many pieces of the text fit beside those `taken`; IncompatibleError where there is no place for one."""
    if longest <= taken:
        raise IncompatibleError(
            f"inputs of {longest} pieces leave no place for the text beside {taken} others; raise max_length"
        )
    return longest - taken


def cut(length: int, room: int, overlap: int) -> list[tuple[int, int]]:
    """First and one past the last of each window over `length` pieces; neighbours share `overlap` of them.

    At most half of a window is shared, so no piece is in more than two. Without a piece there is one empty window.
    """
    step = room - min(overlap, room // 2)
    count = 1 + max(0, -(-(length - room) // step))
    return [(place * step, min(place * step + room, length)) for place in range(count)]


def window_columns(windows: Iterable[Sequence[list[int]]]) -> dict[str, pa.Array]:
    """Columns `input_ids`, `window_lengths`, `rows`, `length` and `key` of the windows of each example."""
    flat, sizes = [], []
    for of_example in windows:
        filled = [window or [0] for window in of_example]  # attention over nothing is not a number
        flat.append([piece for window in filled for piece in window])
        sizes.append([len(window) for window in filled])
    keys = (
        np.array(pieces, dtype=np.int32).tobytes() + b"|" + np.array(lengths, dtype=np.int32).tobytes()
        for pieces, lengths in zip(flat, sizes, strict=True)
    )
    return {
        "input_ids": ragged_column(flat),
        "window_lengths": ragged_column(sizes),
        "rows": pa.array([len(lengths) for lengths in sizes], pa.int32()),
        "length": pa.array([max(lengths) for lengths in sizes], pa.int32()),
        "key": key_column(keys),
    }


class Padded(NamedTuple):
    """Windows of a batch side by side: `where` [R, T] into the values of `input_ids`, `mask` [R, T]."""

    where: np.ndarray
    mask: np.ndarray
    counts: np.ndarray  # windows of each example


class WindowExamples:
    """Prepared windows; padding is on the right, with the model's own padding id."""

    def __init__(self, prepared: pa.Table, model: ModelSpec) -> None:
        self.ids = ragged(prepared, "input_ids")
        self.sizes = ragged(prepared, "window_lengths")
        self.rows = single_chunk(prepared, "rows").to_numpy()
        self.lengths = single_chunk(prepared, "length").to_numpy()
        self.keys = input_keys(prepared)
        own = self.sizes.values[self.sizes.offsets[0] : self.sizes.offsets[-1]].astype(np.int64)
        self._own_sizes = own
        self._starts = self.ids.offsets[0] + np.concatenate([np.zeros(1, np.int64), np.cumsum(own)])
        self._first_window = self.sizes.offsets - self.sizes.offsets[0]
        config = open_config(model)
        self._pad_id = pad_id(model)
        self._takes_types = getattr(config, "type_vocab_size", 0) > 1

    def __len__(self) -> int:
        return len(self.lengths)

    def padded(self, indices: np.ndarray, padded: int) -> Padded:
        """Where the pieces of these examples' windows stand."""
        counts = self.rows[indices].astype(np.int64)
        windows = spread(self._first_window[indices], counts)
        positions = np.arange(padded)
        mask = positions < self._own_sizes[windows][:, None]
        return Padded(self._starts[windows][:, None] + np.where(mask, positions, 0), mask, counts)

    def inputs(self, padded: Padded, device: torch.device, types: np.ndarray | None = None) -> dict[str, torch.Tensor]:
        """input_ids and attention_mask int64 [R, T], and of `types` (values beside those of the ids) their own."""
        import torch

        where, mask, _ = padded
        arrays = {
            "input_ids": np.where(mask, self.ids.values[where], self._pad_id).astype(np.int64),
            "attention_mask": mask.astype(np.int64),
        }
        if types is not None and self._takes_types:
            arrays["token_type_ids"] = np.where(mask, types[where], 0).astype(np.int64)
        return {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in arrays.items()}

    def flat_positions(self, example: int, flat: np.ndarray, first_row: int, padded: int) -> np.ndarray:
        """Positions among an example's pieces as those in [R · T] of a batch; its windows begin at `first_row`."""
        start = self._first_window[example]
        ends = np.cumsum(self._own_sizes[start : start + self.rows[example]])
        window = np.searchsorted(ends, flat, side="right")
        begins = np.concatenate([np.zeros(1, np.int64), ends])[window]
        return (first_row + window) * padded + flat - begins


def spread(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """start, start + 1, … of each, one after the other, `counts` of each."""
    before = np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(starts, counts) + np.arange(int(counts.sum())) - before
