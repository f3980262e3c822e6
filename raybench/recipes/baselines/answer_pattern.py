"""`answer-pattern`: what stood around the training answers to questions that began alike.

A question is known by its first two words; an answer begins behind the words that most often stood before one, and ends
where the word or mark stands that most often followed. Data that were mined by patterns are found out by it.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.tasks.answer_spans import NO_ANSWER, Span, find_answer, given_answers

__all__ = ["AnswerPattern"]

_WORD = re.compile(r"\w+|[^\w\s]")
_END = "</s>"
_KEPT = 40  # patterns a kind of question
_LONGEST = 30  # words


class AnswerPattern:
    """Of each kind of question how often each pair of words, or one, stood before an answer and what followed.

    The pattern that was seen most goes first, with two words before one; where none is found there is no answer.
    """

    tasks = ("question-answering",)
    version = 1

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> dict[str, np.ndarray]:
        counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        for question, context, cell in _rows(rows):
            span = find_answer(context, given_answers(cell)) if given_answers(cell) else None
            if span is None:
                continue
            before = [match.group().lower() for match in _WORD.finditer(context[: span.start])]
            after = _WORD.search(context, span.stop)
            follower = after.group().lower() if after else _END
            for size in (2, 1):
                lead = " ".join(before[-size:]) if len(before) >= size else _END
                counts[_kind(question)][lead, follower] += 1
        patterns = {
            kind: [[lead, follower] for (lead, follower), _ in sorted(seen.items(), key=_order)[:_KEPT]]
            for kind, seen in sorted(counts.items())
        }
        return {"patterns": np.frombuffer(json.dumps(patterns).encode(), dtype=np.uint8)}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> list[Span]:
        patterns = json.loads(arrays["patterns"].tobytes())
        return [_match(patterns.get(_kind(question), []), context) for question, context, _ in _rows(rows)]


def _order(item: tuple[tuple[str, str], int]) -> tuple[int, int, tuple[str, str]]:
    """More often seen first, then the longer lead, then by name."""
    (lead, follower), count = item
    return -count, -len(lead.split()), (lead, follower)


def _match(patterns: list[list[str]], context: str) -> Span:
    words = list(_WORD.finditer(context))
    small = [match.group().lower() for match in words]
    for lead, follower in patterns:
        before = [] if lead == _END else lead.split()
        starts = range(len(before), len(words)) if before else range(min(1, len(words)))
        for first in starts:
            if small[first - len(before) : first] != before:
                continue
            limit = min(len(words), first + _LONGEST)
            ends = [place for place in range(first + 1, limit) if small[place] == follower]
            if ends or (follower == _END and limit == len(words)):
                last = ends[0] - 1 if ends else len(words) - 1
                return Span(words[first].start(), words[last].end(), -1.0)
    return NO_ANSWER


def _kind(question: str) -> str:
    return " ".join(match.group().lower() for match in list(_WORD.finditer(question))[:2])


def _rows(rows: pa.Table) -> Iterator[tuple[str, str, dict[str, Any]]]:
    return zip(*(rows.column(name).to_pylist() for name in ("question", "context", "answers")), strict=True)
