"""Which of a vocabulary's ids pad, end and begin what a network writes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SpecialIds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialIds:
    """Ids of a checkpoint's tokens: padding, the ends of a text, and what a decoder after an encoder starts with."""

    pad: int
    ends: tuple[int, ...]
    start: int
