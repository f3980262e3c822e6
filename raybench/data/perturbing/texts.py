"""Texts with typos, other capitals, words left out or swapped, no punctuation.

    typos("the quick fox", 0.5, rng)        # "the qiuck fox"

White space stays as it is. Slips are those of Belinkov and Bisk (2018, arXiv:1711.02173) and Pruthi, Dhingra and Lipton
(2019, arXiv:1905.11268): inside a word a letter changes places with the next, is left out, is doubled, or is a
neighbour's on an English keyboard; the first letter is left alone, as readers and writers do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pyarrow as pa

from raybench.data.kinds import is_list

__all__ = ["TEXTS", "perturbed_cells"]

Perturb = Callable[[str, float, np.random.Generator], str]

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_LEAST_LETTERS = 3  # of a word that a slip is made in
_PIECES = re.compile(r"\s+|\S+")


def perturbed_cells(
    cells: pa.Array, perturb: Perturb, strength: float, rngs: Iterable[np.random.Generator]
) -> pa.Array:
    """A column of texts, or of lists of them, each cell with its own draws; no text becomes empty."""

    def one(text: str, rng: np.random.Generator) -> str:
        return perturb(text, strength, rng) or text

    pairs = zip(cells.to_pylist(), rngs, strict=True)
    if is_list(cells.type):
        return pa.array([[one(text, rng) for text in texts] for texts, rng in pairs], cells.type)
    return pa.array([one(text, rng) for text, rng in pairs], cells.type)


def typos(text: str, strength: float, rng: np.random.Generator) -> str:
    """A slip in a share of the words of at least three letters."""
    return _by_word(text, strength, rng, _slip)


def case(text: str, strength: float, rng: np.random.Generator) -> str:
    """A share of the words in capitals, or in small letters where they have a capital."""
    return _by_word(text, strength, rng, lambda word, _: word.upper() if word == word.lower() else word.lower())


def drop_words(text: str, strength: float, rng: np.random.Generator) -> str:
    """A share of the words left out, with the space before them; one is left."""
    pieces = _PIECES.findall(text)
    words = [place for place, piece in enumerate(pieces) if not piece.isspace()]
    dropped = {place for place, draw in zip(words, rng.random(len(words)), strict=True) if draw < strength}
    if len(dropped) == len(words):
        dropped -= {words[int(rng.integers(len(words)))]} if words else set()
    gone = dropped | {place - 1 for place in dropped if place and pieces[place - 1].isspace()}
    return "".join(piece for place, piece in enumerate(pieces) if place not in gone).lstrip() if dropped else text


def swap_words(text: str, strength: float, rng: np.random.Generator) -> str:
    """A share of the words change places with the next; no word moves twice."""
    pieces = _PIECES.findall(text)
    words = [place for place, piece in enumerate(pieces) if not piece.isspace()]
    draws, at = rng.random(len(words)), 0
    while at + 1 < len(words):
        if draws[at] < strength:
            first, second = words[at], words[at + 1]
            pieces[first], pieces[second] = pieces[second], pieces[first]
            at += 1
        at += 1
    return "".join(pieces)


def punctuation(text: str, strength: float, rng: np.random.Generator) -> str:
    """A share of the punctuation marks (Unicode's category P) left out."""
    drawn = rng.random(len(text))
    kept = (letter for letter, draw in zip(text, drawn, strict=True) if draw >= strength or not _is_mark(letter))
    return "".join(kept)


TEXTS: Mapping[str, Perturb] = {
    "typos": typos,
    "case": case,
    "drop_words": drop_words,
    "swap_words": swap_words,
    "punctuation": punctuation,
}


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter).startswith("P")


def _by_word(
    text: str, share: float, rng: np.random.Generator, change: Callable[[str, np.random.Generator], str]
) -> str:
    pieces = _PIECES.findall(text)
    drawn = rng.random(len(pieces))
    changed = (
        change(piece, rng) if draw < share and not piece.isspace() else piece
        for piece, draw in zip(pieces, drawn, strict=True)
    )
    return "".join(changed)


def _slip(word: str, rng: np.random.Generator) -> str:
    letters = [place for place, letter in enumerate(word) if letter.isalpha()]
    if len(letters) < _LEAST_LETTERS:
        return word
    place = int(rng.integers(1, len(letters)))
    at = letters[place]
    kinds: list[Callable[[], str]] = [
        lambda: _swapped(word, *sorted((at, letters[place + 1 if place == 1 else place - 1]))),
        lambda: word[:at] + word[at + 1 :],
        lambda: word[:at] + word[at] + word[at:],
        lambda: word[:at] + _mistyped(word[at], rng) + word[at + 1 :],
    ]
    return kinds[int(rng.integers(len(kinds)))]()


def _swapped(word: str, first: int, second: int) -> str:
    return word[:first] + word[second] + word[first + 1 : second] + word[first] + word[second + 1 :]


def _mistyped(letter: str, rng: np.random.Generator) -> str:
    """A neighbour on the keyboard; a letter that is not on it is doubled."""
    near = _NEIGHBOURS.get(letter.lower())
    if near is None:
        return letter * 2
    other = near[int(rng.integers(len(near)))]
    return other.upper() if letter.isupper() else other


def _neighbours() -> dict[str, str]:
    """By letter, those left, right, above and below it."""
    found = {}
    for row, keys in enumerate(_ROWS):
        for place, key in enumerate(keys):
            near = [keys[at] for at in (place - 1, place + 1) if 0 <= at < len(keys)]
            for other in (row - 1, row + 1):
                if 0 <= other < len(_ROWS) and place < len(_ROWS[other]):
                    near.append(_ROWS[other][place])
            found[key] = "".join(near)
    return found


_NEIGHBOURS = _neighbours()
