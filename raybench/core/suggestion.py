"""What a mistyped name was probably meant to be.

did_you_mean("learning_rat", ["learning_rate", "epochs"])    # "; did you mean learning_rate?"
did_you_mean("colour", ["learning_rate", "epochs"])          # "; known: epochs, learning_rate"
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["closest", "did_you_mean"]

_MAX_LISTED = 20


def closest(given: str, known: Iterable[str]) -> str | None:
    """The nearest known name, None where none is near."""
    by_lower = {name.lower(): name for name in sorted(set(known), reverse=True)}
    close = get_close_matches(given.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(given: str, known: Iterable[str], *, noun: str = "known") -> str:
    """The end of an error line: the nearest known name, else the known names."""
    names = sorted(set(known))
    if (meant := closest(given, names)) is not None:
        return f"; did you mean {meant}?"
    listed = names[:_MAX_LISTED]
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"; {noun}: {', '.join(listed)}{more}" if names else f"; {noun}: none"
