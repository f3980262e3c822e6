"""Transcripts as the letters that connectionist temporal classification puts out, and back.

A checkpoint with a head of its own has an alphabet; a fresh head puts out the bytes of UTF-8 behind the blank, which is
every alphabet there is and asks nothing of the data.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

__all__ = ["NUM_BYTES", "Alphabet", "ByteAlphabet", "OwnAlphabet"]

NUM_BYTES = 257  # the blank, and every byte


class Alphabet:
    """Numbers of letters; `blank` stands between two of one letter."""

    blank: int = 0

    def encode(self, text: str) -> list[int]:
        """The letters of a transcript."""
        raise NotImplementedError

    def decode(self, best: Sequence[int]) -> str:
        """The text of the likeliest letters at each position: repeats joined, blanks left out."""
        raise NotImplementedError


class ByteAlphabet(Alphabet):
    """The bytes of UTF-8, from 1."""

    def encode(self, text: str) -> list[int]:
        return [byte + 1 for byte in text.encode("utf-8", "replace")]

    def decode(self, best: Sequence[int]) -> str:
        letters = [letter for letter, _ in itertools.groupby(best) if letter != self.blank]
        return bytes(letter - 1 for letter in letters).decode("utf-8", "ignore")


class OwnAlphabet(Alphabet):
    """A checkpoint's tokenizer; what it does not know is left out, in the case that it is written in."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.blank = int(tokenizer.pad_token_id)
        known = [word for word in tokenizer.get_vocab() if word not in tokenizer.all_special_tokens]
        self._upper = any(map(str.isupper, known)) and not any(map(str.islower, known))
        self._lower = any(map(str.islower, known)) and not any(map(str.isupper, known))
        self._unknown = tokenizer.unk_token_id

    def encode(self, text: str) -> list[int]:
        cased = text.upper() if self._upper else text.lower() if self._lower else text
        ids: list[int] = self._tokenizer(cased, add_special_tokens=False, verbose=False)["input_ids"]
        return [number for number in ids if number not in (self._unknown, self.blank)]

    def decode(self, best: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(best))
        return text
