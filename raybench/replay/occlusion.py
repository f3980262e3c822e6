"""What can be left out of a row: words of a text, patches of a picture. And the rows that lack it.

    cuts = cuts_of(row, ["text"])                       # a table of one row → a cut a column
    occluded(row, cuts[0], range(len(cuts[0])))         # the row as often, each without one piece

Occlusion (Zeiler and Fergus 2014, doi:10.1007/978-3-319-10590-1_53): what an answer owes to a piece is how much it
changes without it. It asks of a candidate only that it answers, so a baseline and a network are looked at alike and in
one unit. No torch here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core.pictures import IMAGE, picture_arrays

__all__ = ["MOST", "Box", "PictureCut", "TextCut", "cut_picture", "cut_text", "occluded"]

MOST = 64  # pieces of a cell: what a text or a picture costs is then bounded, in rows to answer
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # kana and Han, written without spaces: each a piece
_PIECE = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)\s*")


class Box(NamedTuple):
    """Pixels [top, bottom) × [left, right)."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class TextCut:
    """`pieces` joined are what is read of the text; of what comes after nothing is."""

    column: str
    pieces: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pieces)

    def cell(self, without: int | None) -> str:
        """The text, or the text without this piece."""
        return "".join(piece for place, piece in enumerate(self.pieces) if place != without)

    def first(self, count: int) -> TextCut:
        """The same of the first pieces alone."""
        return TextCut(self.column, self.pieces[:count])

    def in_at_most(self, most: int) -> TextCut:
        """The same text in so many pieces, of as many adjoining ones each."""
        each = -(-len(self.pieces) // most)
        joined = ["".join(self.pieces[start : start + each]) for start in range(0, len(self.pieces), max(1, each))]
        return TextCut(self.column, tuple(joined))


@dataclass(frozen=True, slots=True, eq=False)
class PictureCut:
    """`pixels` uint8 [H, W, C]; a box is left out by giving it the picture's mean colour."""

    column: str
    pixels: np.ndarray
    boxes: tuple[Box, ...]

    def __len__(self) -> int:
        return len(self.boxes)

    def cell(self, without: int | None) -> dict[str, Any]:
        """The picture, or the picture without this box, as a cell of `IMAGE`."""
        pixels = self.pixels
        if without is not None:
            box = self.boxes[without]
            mean_C = np.rint(pixels.reshape(-1, pixels.shape[2]).mean(axis=0))
            pixels = pixels.copy()
            pixels[box.top : box.bottom, box.left : box.right] = mean_C.astype(np.uint8)
        height, width, channels = pixels.shape
        return {"height": height, "width": width, "channels": channels, "data": pixels.tobytes()}


def cut_text(column: str, text: str) -> TextCut:
    """By word, white space with the word before it."""
    return TextCut(column, tuple(_PIECE.findall(text)))


def cut_picture(column: str, row: pa.Table) -> PictureCut:
    """Of a table of one row, in 8 × 8 patches of whole pixels, or fewer where there are fewer pixels."""
    (pixels,) = picture_arrays(row)
    side = round(MOST**0.5)
    downs, rights = (_bounds(size, side) for size in pixels.shape[:2])
    return PictureCut(column, pixels, tuple(Box(*down, *right) for down in downs for right in rights))


def occluded(row: pa.Table, cut: TextCut | PictureCut, places: Iterable[int | None]) -> pa.Table:
    """The row once for each place, without the piece there (None: with all); ids are 0, 1, …"""
    cells = [cut.cell(place) for place in places]
    made = row.take(pa.array(np.zeros(len(cells), dtype=np.int64)))
    kind = pa.string() if isinstance(cut, TextCut) else IMAGE
    made = made.set_column(made.column_names.index(cut.column), cut.column, pa.array(cells, kind))
    return made.set_column(made.column_names.index("id"), "id", pa.array(map(str, range(len(cells))), pa.string()))


def _bounds(size: int, parts: int) -> Sequence[tuple[int, int]]:
    edges = np.unique(np.linspace(0, size, parts + 1).round().astype(int)).tolist()
    return list(itertools.pairwise(edges))
