"""Questions with their contexts as windows: the question whole in each, the context cut, its characters remembered.

Shapes: R model rows (windows) of a batch, T positions each is padded to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core import ModelSpec
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.answer_spans import Span, find_answer, given_answers
from raybench.tasks.overlapping_windows import WindowExamples, cut, frame_of, room_in, spread, window_columns
from raybench.tasks.rows import ragged, ragged_column
from raybench.tasks.task import Batch
from raybench.tasks.text_inputs import longest_input

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

__all__ = ["QuestionExamples", "Questions", "tokenize_questions"]

_UNTAUGHT = -100  # of a row whose answer is not in its context: it teaches nothing
_OUTSIDE = -1


def tokenize_questions(
    rows: pa.Table, model: ModelSpec, max_length: int, *, overlap: int | None, most_of_question: int
) -> pa.Table:
    """Columns of windows beside the raw ones, and lists of int32: of each piece `token_type_ids`, `starts` and `stops`
    (characters of the context, -1: none of it), of each window `first`, `last` and `null`: the places where the
    answer begins and ends, and of no answer.

    The question is cut after `most_of_question` pieces, or half a window; `overlap` None: a quarter of what is left.
    """
    tokenizer = open_tokenizer(model)
    frame = frame_of(tokenizer, pair=True)
    longest = longest_input(model, max_length)
    most_of_question = min(most_of_question, room_in(longest, frame.size + 1) // 2)
    contexts, answers = rows.column("context").to_pylist(), rows.column("answers").to_pylist()
    questions, _ = _encode(
        tokenizer, [model.instruction + text.lstrip() for text in rows.column("question").to_pylist()]
    )
    pieces, offsets = _encode(tokenizer, contexts)
    made: list[list[list[int]]] = []
    lists: dict[str, list[list[int]]] = {name: [] for name in ("token_type_ids", "starts", "stops", "first", "last")}
    nulls = []
    for question, context, places, text, answer in zip(questions, pieces, offsets, contexts, answers, strict=True):
        question = question[:most_of_question]
        room = longest - frame.size - len(question)
        windows = cut(len(context), room, room // 4 if overlap is None else overlap)
        before = len(frame.pieces[0]) + len(question) + len(frame.pieces[1])
        made.append([_framed(frame.pieces, question, context[a:b]) for a, b in windows])
        types = [frame.of_text[0]] * len(question), [frame.of_text[1]] * len(context)
        lists["token_type_ids"].append(
            [kind for a, b in windows for kind in _framed(frame.types, types[0], types[1][a:b])]
        )
        after = len(frame.pieces[2])
        for name, side in (("starts", 0), ("stops", 1)):
            around = [_OUTSIDE] * before, [_OUTSIDE] * after
            lists[name].append([n for a, b in windows for n in (*around[0], *places[a:b, side].tolist(), *around[1])])
        null = [_null_place(tokenizer.cls_token_id, window) for window in made[-1]]
        first, last = _targets(places, windows, before, null, text, given_answers(answer))
        lists["first"].append(first)
        lists["last"].append(last)
        nulls.append(null)
    kept = {name: rows.column(name) for name in rows.column_names if name != "question"}
    columns = {name: ragged_column(values) for name, values in lists.items()}
    return pa.table({**kept, **window_columns(made), **columns, "null": ragged_column(nulls)})


def _encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> tuple[list[list[int]], list[np.ndarray]]:
    """Of each text the ids of its pieces, and the characters that each is of, [pieces, 2]."""
    if not texts:
        return [], []
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    return encoded["input_ids"], [np.array(one, dtype=np.int64).reshape(-1, 2) for one in encoded["offset_mapping"]]


def _framed(around: tuple[tuple[int, ...], ...], question: list[int], context: list[int]) -> list[int]:
    return [*around[0], *question, *around[1], *context, *around[2]]


def _null_place(cls_id: int | None, window: list[int]) -> int:
    """Where the score of no answer stands: at the tokenizer's class piece, else at the first."""
    return window.index(cls_id) if cls_id in window else 0


def _targets(
    places: np.ndarray,
    windows: list[tuple[int, int]],
    before: int,
    null: list[int],
    context: str,
    answers: list[tuple[str, int]],
) -> tuple[list[int], list[int]]:
    """Where the answer begins and ends in each window; in one that does not hold it whole, the place of no answer."""
    if not answers:
        return null, null
    span = find_answer(context, answers)
    found = None if span is None else _pieces_of(places, span)
    if found is None:
        return [_UNTAUGHT] * len(windows), [_UNTAUGHT] * len(windows)
    whole = [start <= found[0] and found[1] < stop for start, stop in windows]
    first, last = (
        [
            before + piece - start if held else other
            for (start, _), held, other in zip(windows, whole, null, strict=True)
        ]
        for piece in found
    )
    return first, last


def _pieces_of(places: np.ndarray, span: Span) -> tuple[int, int] | None:
    """The first and last piece that a character of the span is of."""
    inside = np.flatnonzero((places[:, 0] < span.stop) & (places[:, 1] > span.start))
    return (int(inside[0]), int(inside[-1])) if len(inside) else None


class Questions(NamedTuple):
    """Of each window the places of the answer and of no answer, int64 [R]; of each position whether it is of the
    context, bool [R, T], and on the host its characters, int [R, T]."""

    first: torch.Tensor
    last: torch.Tensor
    null: torch.Tensor
    context: torch.Tensor
    starts: np.ndarray
    stops: np.ndarray


class QuestionExamples(WindowExamples):
    """Windows of questions and contexts, with where the answers are."""

    def __init__(self, prepared: pa.Table, model: ModelSpec) -> None:
        super().__init__(prepared, model)
        self._types, self._char_starts, self._char_stops = (
            ragged(prepared, name).values for name in ("token_type_ids", "starts", "stops")
        )
        self._first, self._last, self._null = (ragged(prepared, name).values for name in ("first", "last", "null"))

    def _windows(self, indices: np.ndarray) -> np.ndarray:
        """Places of these examples' windows in the columns of one value a window."""
        return spread(self.sizes.offsets[indices], self.rows[indices].astype(np.int64))

    def units(self, indices: np.ndarray) -> int:
        """Windows that teach something; at least 1, for a loss is divided by it."""
        return max(1, int((self._first[self._windows(indices)] != _UNTAUGHT).sum()))

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        import torch

        windows, places = self.padded(indices, padded), self._windows(indices)
        starts = np.where(windows.mask, self._char_starts[windows.where], _OUTSIDE)
        first, last, null = (
            torch.from_numpy(values[places].astype(np.int64)).to(device)
            for values in (self._first, self._last, self._null)
        )
        targets = Questions(
            first, last, null, torch.from_numpy(starts != _OUTSIDE).to(device), starts, self._char_stops[windows.where]
        )
        return Batch(self.inputs(windows, device, self._types), targets, windows.counts)
