"""What a table of rows asks: its task, and which of its columns are the task's.

    found = guess(rows)
    found.task, found.columns           # "text-classification", {"text": "review", "label": "stars"}
    found.said                          # ("text: review (2,000 texts of 41 words)", "label: stars (3 classes: bad, …)")

Names of columns that the field uses tell most; where they tell nothing, types and counts of the cells do. A guess is
there to be seen and overruled: whoever knows the task or a column says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import DataError
from raybench.data.kinds import is_list, is_text

__all__ = ["Guess", "guess"]

_LABELS = ("label", "labels", "class", "category", "target", "sentiment", "topic", "intent", "y", "stars", "rating",
           "score", "value", "answer", "tag", "tags", "ner_tags", "pos_tags", "grade", "price")  # fmt: skip
_TEXTS = ("text", "sentence", "review", "content", "body", "message", "tweet", "title", "description", "document",
          "comment", "question", "query", "utterance", "gloss")  # fmt: skip
_PAIRS = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("question1", "question2"), ("text", "text_pair"),
          ("text1", "text2"), ("sentence_1", "sentence_2"), ("question", "sentence"), ("query", "passage"))  # fmt: skip
_WRITTEN = (("source", "target"), ("article", "highlights"), ("document", "summary"), ("dialogue", "summary"),
            ("input", "output"), ("text", "summary"))  # fmt: skip
_CHOICES = ("choices", "endings", "options")
_MOST_CLASSES = 100  # more different values than this are no classes, unless a column is named for it
_PER_CLASS = 3  # rows that a class has at least, on average


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A task and {column of the task: column of the source}, with a line a column that says what was seen in it."""

    task: str
    columns: dict[str, str]
    said: tuple[str, ...] = ()


def guess(rows: pa.Table, *, columns: Mapping[str, str] | None = None) -> Guess:
    """The first of the rules that fits; `columns` are those that are known. DataError where none does."""
    given = dict(columns or {})
    for name in given.values():
        if name not in rows.column_names:
            raise DataError(f"there is no column {name!r}; there are {', '.join(rows.column_names)}")
    for rule in _RULES:
        found = rule(rows, given)
        if found is not None:
            task, chosen = found
            said = tuple(
                f"{role}: {name} ({_seen(rows[name])})" for role, name in chosen.items() if name in rows.column_names
            )
            return Guess(task=task, columns=chosen, said=said)
    listed = ", ".join(f"{name} ({_seen(rows[name])})" for name in rows.column_names)
    raise DataError(f"what these columns ask cannot be told: {listed}; say --task, and --column label=NAME")


Found = tuple[str, dict[str, str]] | None


def _questions(rows: pa.Table, given: Mapping[str, str]) -> Found:
    names = set(rows.column_names)
    if {"question", "context", "answers"} <= names:
        return "question-answering", {"question": "question", "context": "context", "answers": "answers"}
    choices = next((name for name in _CHOICES if name in names and is_list(rows[name].type)), None)
    label = _label_of(rows, given, ())
    if choices is not None and label is not None:
        asked = next((name for name in ("question", "query", "ctx", "sent1") if name in names), None)
        if asked is not None:
            return "multiple-choice", {"question": asked, "choices": choices, "label": label}
    return None


def _words(rows: pa.Table, given: Mapping[str, str]) -> Found:
    lists = [name for name in rows.column_names if is_list(rows[name].type)]
    tokens = next((n for n in lists if n in ("tokens", "words") and is_text(rows[n].type.value_type)), None)
    for name in lists if tokens is not None else ():
        if (
            name != tokens
            and pc.all(pc.equal(pc.list_value_length(rows[name]), pc.list_value_length(rows[tokens]))).as_py()
        ):
            return "token-classification", {"tokens": tokens, "tags": name}
    return None


def _pictures(rows: pa.Table, given: Mapping[str, str]) -> Found:
    picture = given.get("image") or next(
        (name for name in rows.column_names if name in ("image", "img") and not is_text(rows[name].type)), None
    )
    if picture is None:
        return None
    target = _label_of(rows, given, (picture,))
    if target is None:
        return None
    return f"{_of_target(rows[target])}image-{_kind(rows, target)}", {"image": picture, **_target(rows, target)}


def _written(rows: pa.Table, given: Mapping[str, str]) -> Found:
    for name in rows.column_names:
        kind = rows[name].type
        if name == "translation" and pa.types.is_struct(kind) and kind.num_fields == 2:
            source, target = (f"{name}.{kind.field(place).name}" for place in range(2))
            return "text-generation", {"source": source, "target": target}
    for source, target in _WRITTEN:
        both = [rows[name] for name in (source, target) if name in rows.column_names]
        if len(both) == 2 and all(is_text(one.type) and not _is_classes(one) for one in both):
            return "text-generation", {"source": source, "target": target}
    return None


def _texts(rows: pa.Table, given: Mapping[str, str]) -> Found:
    target = _label_of(rows, given, tuple(given.get(role, "") for role in ("text", "text_pair")))
    if target is None:
        return None
    texts = {role: given[role] for role in ("text", "text_pair") if role in given}
    if not texts:
        names = set(rows.column_names) - {target}
        pair = next(
            (pair for pair in _PAIRS if set(pair) <= names and all(is_text(rows[one].type) for one in pair)), None
        )
        if pair is not None:
            texts = dict(zip(("text", "text_pair"), pair, strict=True))
        elif (one := _text_of(rows, target)) is not None:
            texts = {"text": one}
        else:
            return None
    return f"{_of_target(rows[target])}text-{_kind(rows, target)}", {**texts, **_target(rows, target)}


def _features(rows: pa.Table, given: Mapping[str, str]) -> Found:
    target = _label_of(rows, given, ())
    if target is None or len(rows.column_names) < 3 or is_list(rows[target].type):
        return None
    return f"tabular-{_kind(rows, target)}", _target(rows, target)


_RULES: tuple[Callable[[pa.Table, Mapping[str, str]], Found], ...] = (
    _questions, _words, _pictures, _written, _texts, _features,
)  # fmt: skip


def _label_of(rows: pa.Table, given: Mapping[str, str], not_these: Iterable[str]) -> str | None:
    """The column that is to be told from the others."""
    for role in ("label", "labels", "value"):
        if role in given:
            return given[role]
    names = [name for name in rows.column_names if name not in set(not_these)]
    by_lower = {name.lower(): name for name in names}
    named = [by_lower[known] for known in _LABELS if known in by_lower]
    for name in named:
        if _is_classes(rows[name]) or _is_number(rows[name].type) or is_list(rows[name].type):
            return name
    classes = [name for name in names if is_text(rows[name].type) and _is_classes(rows[name])]
    return classes[-1] if len(classes) == 1 else None


def _text_of(rows: pa.Table, target: str) -> str | None:
    """A column named for it, else that of the longest texts, where they are more than a word or two."""
    texts = [name for name in rows.column_names if name != target and is_text(rows[name].type)]
    named = [name for known in _TEXTS for name in texts if name.lower() == known]
    longest = max(texts, key=lambda name: _words_of(rows[name]), default=None)
    if named:
        return named[0]
    return longest if longest is not None and _words_of(rows[longest]) >= 3 else None


def _kind(rows: pa.Table, target: str) -> str:
    return "regression" if _is_number(rows[target].type) and not _is_classes(rows[target]) else "classification"


def _of_target(cells: pa.ChunkedArray) -> str:
    return "multilabel-" if is_list(cells.type) else ""


def _target(rows: pa.Table, target: str) -> dict[str, str]:
    if is_list(rows[target].type):
        return {"labels": target}
    return {"value" if _kind(rows, target) == "regression" else "label": target}


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_classes(cells: pa.ChunkedArray) -> bool:
    """Few different values, each in several rows: texts, whole numbers, true and false."""
    kind = cells.type
    if pa.types.is_dictionary(kind) or pa.types.is_boolean(kind):
        return True
    if not (is_text(kind) or pa.types.is_integer(kind)):
        return False
    different = pc.count_distinct(cells).as_py()
    return 2 <= different <= min(_MOST_CLASSES, max(2, len(cells) // _PER_CLASS))


def _words_of(texts: pa.ChunkedArray) -> float:
    """Words a text, on average."""
    return float(pc.mean(pc.add(pc.count_substring(texts, " "), 1)).as_py() or 0.0)


def _seen(cells: pa.ChunkedArray) -> str:
    if is_text(cells.type) and not _is_classes(cells):
        return f"texts of {_words_of(cells):.0f} words"
    if _is_classes(cells):
        values = sorted(str(value) for value in pc.unique(cells).to_pylist() if value is not None)
        return f"{len(values)} classes: {', '.join(values[:4])}{', …' if len(values) > 4 else ''}"
    if _is_number(cells.type):
        low, high = pc.min_max(cells).as_py().values()
        return f"numbers from {low:.4g} to {high:.4g}" if low is not None else "no numbers"
    return str(cells.type) if not pa.types.is_struct(cells.type) else "records"
