"""Sentences of a context, and which of them shares most with the question by TF-IDF of words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

__all__ = ["best_sentence", "sentences"]

_BREAK = re.compile(r"(?<=[.!?])\s+|\n+")


def sentences(text: str) -> list[tuple[int, int]]:
    """First and one past the last character of each, without blanks around; broken at . ! ? and at line ends."""
    bounds, start = [], 0
    for cut in [*_BREAK.finditer(text), None]:
        stop = len(text) if cut is None else cut.start()
        part = text[start:stop]
        if part.strip():
            left = len(part) - len(part.lstrip())
            bounds.append((start + left, start + len(part.rstrip())))
        start = stop if cut is None else cut.end()
    return bounds


def best_sentence(vectorizer: Any, question: str, context: str) -> tuple[tuple[int, int], float] | None:
    """The sentence with the greatest cosine to the question, of equal ones the first, and the cosine."""
    bounds = sentences(context)
    if not bounds:
        return None
    cosines = (vectorizer.transform([context[a:b] for a, b in bounds]) @ vectorizer.transform([question]).T).toarray()
    place = int(np.argmax(cosines[:, 0]))
    return bounds[place], float(cosines[place, 0])
