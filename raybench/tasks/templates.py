"""Templates of prompts: a text with the names of columns in braces."""

from __future__ import annotations

import string
from collections.abc import Mapping

__all__ = ["fields_of", "filled", "wrong_field"]


def fields_of(template: str) -> list[str]:
    """The names in braces, in their order; ValueError for a brace that is not closed."""
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with the values in place of their names; {{ and }} are braces."""
    pieces = []
    for text, name, _, _ in string.Formatter().parse(template):
        pieces.append(text)
        if name is not None:
            pieces.append(values[name])
    return "".join(pieces)


def wrong_field(template: str, known: tuple[str, ...]) -> str | None:
    """What is wrong with a template's names, or None."""
    unknown = [name for name in fields_of(template) if name not in known]
    listed = ", ".join(f"{{{name}}}" for name in known)
    return f"names {{{unknown[0]}}}; {listed} would do" if unknown else None
