"""What is asked, told from names, types and counts of columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from raybench.core.errors import DataError
from raybench.data.guess import guess

N = 60
LONG = [f"some words about thing {row} and more" for row in range(N)]
CLASSES = ["good", "bad", "so so"] * 20
NUMBERS = [row * 1.37 for row in range(N)]
LISTS = [["a", "b"][: 1 + row % 2] for row in range(N)]
PICTURE = [{"bytes": b"x", "path": None}] * N


@pytest.mark.parametrize(
    ("columns", "task", "found"),
    [
        ({"text": LONG, "label": CLASSES}, "text-classification", {"text": "text", "label": "label"}),
        ({"body": LONG, "topic": CLASSES}, "text-classification", {"text": "body", "label": "topic"}),
        ({"opinion": LONG, "is_spam": CLASSES}, "text-classification", {"text": "opinion", "label": "is_spam"}),
        ({"id": list(range(N)), "review": LONG, "stars": [1, 2, 3] * 20}, "text-classification",
         {"text": "review", "label": "stars"}),
        ({"premise": LONG, "hypothesis": LONG[::-1], "label": CLASSES}, "text-classification",
         {"text": "premise", "text_pair": "hypothesis", "label": "label"}),
        ({"text": LONG, "score": NUMBERS}, "text-regression", {"text": "text", "value": "score"}),
        ({"text": LONG, "labels": LISTS}, "multilabel-text-classification", {"text": "text", "labels": "labels"}),
        ({"tokens": LISTS, "ner_tags": LISTS}, "token-classification", {"tokens": "tokens", "tags": "ner_tags"}),
        ({"question": LONG, "context": LONG, "answers": [{"text": ["a"], "answer_start": [0]}] * N},
         "question-answering", {"question": "question", "context": "context", "answers": "answers"}),
        ({"question": LONG, "choices": [["a", "b"]] * N, "label": [0, 1] * 30}, "multiple-choice",
         {"question": "question", "choices": "choices", "label": "label"}),
        ({"translation": [{"de": "ja", "en": "yes"}] * N}, "text-generation",
         {"source": "translation.de", "target": "translation.en"}),
        ({"article": LONG, "highlights": LONG[::-1]}, "text-generation", {"source": "article", "target": "highlights"}),
        ({"image": PICTURE, "label": CLASSES}, "image-classification", {"image": "image", "label": "label"}),
        ({"month": [1, 2, 3] * 20, "carrier": CLASSES, "target": [0, 1] * 30}, "tabular-classification",
         {"label": "target"}),
        ({"month": [1, 2, 3] * 20, "miles": NUMBERS, "price": NUMBERS}, "tabular-regression", {"value": "price"}),
    ],
)  # fmt: skip
def test_columns_tell_the_task(columns: dict[str, Any], task: str, found: dict[str, str]) -> None:
    guessed = guess(pa.table(columns))
    assert (guessed.task, guessed.columns) == (task, found)


def test_what_is_known_overrules() -> None:
    rows = pa.table({"text": LONG, "note": LONG[::-1], "label": CLASSES, "other": CLASSES})
    found = guess(rows, columns={"text": "note", "label": "other"})
    assert found.columns == {"text": "note", "label": "other"}


def test_what_was_seen_is_said() -> None:
    said = guess(pa.table({"text": LONG, "label": CLASSES})).said
    assert said == ("text: text (texts of 7 words)", "label: label (3 classes: bad, good, so so)")


def test_columns_that_tell_nothing_are_shown_with_what_would_do() -> None:
    with pytest.raises(
        DataError, match=r"cannot be told: text \(texts of 7 words\); say --task, and --column label=NAME"
    ):
        guess(pa.table({"text": LONG}))


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(DataError, match="no column 'body'; there are text, label"):
        guess(pa.table({"text": LONG, "label": CLASSES}), columns={"text": "body"})
