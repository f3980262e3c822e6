"""How good or bad words sound."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pyarrow as pa

from raybench.data.packaged.installed import package_directory

__all__ = ["word_valence"]


def word_valence() -> dict[str, pa.Table]:
    """7,506 words and emoticons with the mean of ten people's valence, −4 to 4: columns text and value.

    From vaderSentiment 3.3.2 on PyPI (MIT): C. Hutto, E. Gilbert, VADER: A Parsimonious Rule-based Model for Sentiment
    Analysis of Social Media Text, ICWSM 2014. Words of one beginning of four letters lie on one side, a fifth of them
    in the test split, so 'happily' does not tell 'happy'.
    """
    directory = package_directory(
        "vaderSentiment", "the VADER lexicon is", "pip install --no-deps vaderSentiment==3.3.2"
    )
    lines = (directory / "vader_lexicon.txt").read_text(encoding="utf-8").splitlines()
    words = dict(line.split("\t")[:2] for line in lines if "\t" in line)
    return {
        "train": _rows(words, lambda word: not _is_test(word)),
        "test": _rows(words, _is_test),
    }


def _is_test(word: str) -> bool:
    return hashlib.blake2b(word[:4].lower().encode(), digest_size=1).digest()[0] < 51


def _rows(words: dict[str, str], wanted: Callable[[str], bool]) -> pa.Table:
    kept = [word for word in words if wanted(word)]
    return pa.table({"text": kept, "value": [float(words[word]) for word in kept]})
