"""Windows over a text that is longer than the model: each place is scored once, with as much context as there is.

rolling_windows(10, longest=4, stride=2)     # inputs [0, 4) score 0–3, [2, 6) score 4–5, [4, 8) score 6–7, …
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Window", "num_rolling", "rolling_windows"]


class Window(NamedTuple):
    """Positions [start, stop) are the input; those from `first` on are scored."""

    start: int
    stop: int
    first: int


def rolling_windows(count: int, longest: int, stride: int) -> list[Window]:
    """Windows from left to right over `count` positions, each moved on by `stride`; at least one."""
    stop = min(count, longest)
    windows = [Window(0, stop, 0)]
    while stop < count:
        first, stop = stop, min(stop + stride, count)
        windows.append(Window(stop - longest, stop, first))
    return windows


def num_rolling(count: int, longest: int, stride: int) -> int:
    """How many windows those are."""
    return 1 + max(0, -(-(count - longest) // stride))
