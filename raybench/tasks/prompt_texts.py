"""Prompts of classification: a template around a row's texts, answered rows before it, and room for them in a model.

    asked = asked_rows(rows, shown, 2, template=…, separator=…, model=model, room=…)     # before and after the answer

A text that is too long loses its end, so that the template stays whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from raybench.core import ModelSpec
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks.shots import shots_for
from raybench.tasks.templates import filled

__all__ = ["ANSWER", "FIELDS", "Asked", "Shown", "asked_rows", "num_pieces", "texts_of"]

ANSWER = "{answer}"
FIELDS = ("text", "text_pair")
_ROUNDS = 4  # pieces of a shortened text may join otherwise, so what is left over is cut again


class Asked(NamedTuple):
    """What stands before and after the answer."""

    before: str
    after: str


class Shown(NamedTuple):
    """Training rows to show, each with the words of its label."""

    ids: list[str]
    texts: list[dict[str, str]]
    answers: list[str]


def asked_rows(
    rows: pa.Table, shown: Shown, num_shots: int, *, template: str, separator: str, model: ModelSpec, room: int
) -> list[Asked]:
    """The prompts of all rows, of at most `room` pieces without the answer where cutting texts can reach that.

    Of shots each gets an even part of the room.
    """
    head, _, tail = template.partition(ANSWER)
    own = texts_of(rows)
    tokenizer = open_tokenizer(model)
    share = room // (num_shots + 1) - num_pieces(tokenizer, [_bare(template)])[0]
    cut = _shortened(tokenizer, shown.texts, [max(1, share)] * len(shown.texts))
    shots = [
        filled(head, texts) + answer + filled(tail, texts) + separator
        for texts, answer in zip(cut, shown.answers, strict=True)
    ]
    names = rows.column("id").to_pylist()
    before = [model.instruction + "".join(shots_for(shots, shown.ids, name, num_shots)) for name in names]
    for _ in range(_ROUNDS):
        asked = [Asked(lead + filled(head, row), filled(tail, row)) for lead, row in zip(before, own, strict=True)]
        over = [size - room for size in num_pieces(tokenizer, [one.before + one.after for one in asked])]
        long = [place for place, excess in enumerate(over) if excess > 0 and any(own[place].values())]
        if not long:
            break
        sizes = [sum(num_pieces(tokenizer, list(own[place].values()))) for place in long]
        rooms = [max(0, size - over[place]) for size, place in zip(sizes, long, strict=True)]
        for place, texts in zip(long, _shortened(tokenizer, [own[place] for place in long], rooms), strict=True):
            own[place] = texts
    return asked if own else []


def texts_of(rows: pa.Table) -> list[dict[str, str]]:
    """What a template may name of each row."""
    found: list[dict[str, str]] = rows.select([name for name in FIELDS if name in rows.column_names]).to_pylist()
    return found


def num_pieces(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """How many pieces each text alone makes."""
    if not texts:
        return []
    ids = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return [len(own) for own in ids]


def _shortened(tokenizer: Any, rows: Sequence[Mapping[str, str]], rooms: Sequence[int]) -> list[dict[str, str]]:
    """Rows of texts whose pieces are at most `rooms` together; each text keeps its beginning and its share."""
    found = []
    for texts, room in zip(rows, rooms, strict=True):
        sizes = num_pieces(tokenizer, list(texts.values()))
        total = sum(sizes)
        kept = dict(texts)
        if total > room:
            for (name, text), size in zip(texts.items(), sizes, strict=True):
                kept[name] = _beginning(tokenizer, text, size * room // total)
        found.append(kept)
    return found


def _beginning(tokenizer: Any, text: str, count: int) -> str:
    """The text up to the end of its piece of this number."""
    if count == 0:
        return ""
    if not getattr(tokenizer, "is_fast", False):
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return str(tokenizer.decode(ids[:count]))
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return text[: offsets["offset_mapping"][count - 1][1]]


def _bare(template: str) -> str:
    return filled(template.replace(ANSWER, ""), dict.fromkeys(FIELDS, ""))
