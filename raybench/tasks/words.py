"""Words as windows of pieces: each word is judged at its first piece, once, in the window where it has most context."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.overlapping_windows import cut, frame_of, room_in, window_columns
from raybench.tasks.rows import ragged_column
from raybench.tasks.text_inputs import longest_input

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["best_windows", "tokenize_words"]

NOWHERE = -1  # the place of a word without a piece


def tokenize_words(rows: pa.Table, model: ModelSpec, max_length: int, overlap: int | None) -> pa.Table:
    """`tokens` replaced by the columns of windows and `first_pieces`, list<int32>: of each word the position of
    its first piece among the example's, -1 for a word that has none.

    Neighbouring windows share `overlap` pieces, a quarter of a window if it is None, never more than half.
    """
    tokenizer = open_tokenizer(model)
    frame = frame_of(tokenizer, pair=False)
    room = room_in(longest_input(model, max_length), frame.size)
    overlap = room // 4 if overlap is None else overlap
    before, after = map(list, frame.pieces)
    leading = model.instruction.split()
    made: list[list[list[int]]] = []
    first_pieces: list[list[int]] = []
    words: list[list[str]] = rows.column("tokens").to_pylist()
    for (pieces, first), own in zip(_pieces([leading + row for row in words], tokenizer), words, strict=True):
        windows = cut(len(pieces), room, overlap)
        chosen = best_windows(first, windows, len(pieces))
        sizes = [len(before) + stop - start + len(after) for start, stop in windows]
        begins = np.concatenate([[0], np.cumsum(sizes)])[:-1] + len(before) - np.array([start for start, _ in windows])
        made.append([before + pieces[start:stop] + after for start, stop in windows])
        flat = np.where(first == NOWHERE, NOWHERE, first + begins[chosen]).tolist()
        first_pieces.append(flat[len(leading) : len(leading) + len(own)])
    kept = {name: rows.column(name) for name in rows.column_names if name != "tokens"}
    return pa.table({**kept, **window_columns(made), "first_pieces": ragged_column(first_pieces)})


def best_windows(first: np.ndarray, windows: list[tuple[int, int]], length: int) -> np.ndarray:
    """For each word's first piece the window with most pieces on its poorer side; an end of the text cuts nothing off.

    Of equal windows the earlier one. `first` [words] are positions among `length` pieces.
    """
    starts, stops = np.array(windows).T
    left = np.where(starts == 0, length, first[:, None] - starts)
    right = np.where(stops == length, length, stops - 1 - first[:, None])
    inside = (first[:, None] >= starts) & (first[:, None] < stops)
    return np.argmax(np.where(inside, np.minimum(left, right), -1), axis=1)


def _pieces(words: list[list[str]], tokenizer: PreTrainedTokenizerBase) -> list[tuple[list[int], np.ndarray]]:
    """Of each row the ids of its pieces, and of each word the place of its first one."""
    if not any(words):
        return [([], np.zeros(0, np.int64)) for _ in words]
    given = [[" " + word if word else word for word in row] for row in words] if _glues(tokenizer) else words
    encoded = tokenizer(
        given,
        is_split_into_words=True,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    found = []
    for row, ids in enumerate(encoded["input_ids"]):
        first = np.full(len(words[row]), NOWHERE, dtype=np.int64)
        of_word = np.array([-1 if word is None else word for word in encoded.word_ids(row)], dtype=np.int64)
        known, at = np.unique(of_word, return_index=True)
        first[known[known >= 0]] = at[known >= 0]
        found.append((ids, first))
    return found


def _glues(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether words given one by one lose the space between them, as byte-level BPE's do without add_prefix_space.

    Then each is given its space, as in the training of checkpoints for words (add_prefix_space=True).
    """
    apart = tokenizer(["a", "a"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    return bool(apart != tokenizer("a a", add_special_tokens=False)["input_ids"])
