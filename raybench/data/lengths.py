"""How long examples are, in parts to be scored apart: words of their texts, or seconds of their sounds.

    with_lengths({"train": train, "test": test}, columns)     # with `slice_length`: "0–12 words", "13–20 words", …

Words are what white space parts, of all inputs together, so that the parts are the same for every tokenizer. The parts
are quarters of the test rows (by quantiles, so equal lengths stay together), named by their limits; other splits are
cut at the same lengths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core import Column, slice_column
from raybench.core.errors import DataError
from raybench.core.sounds import sound_shape
from raybench.data.kinds import is_list

__all__ = ["LENGTH", "with_lengths"]

LENGTH = "length"
_QUARTERS = (0.25, 0.5, 0.75)


class _Lengths(NamedTuple):
    values: np.ndarray
    unit: str


def with_lengths(splits: Mapping[str, pa.Table], columns: Sequence[Column]) -> dict[str, pa.Table]:
    """Each split with the part of each row; DataError for rows that have neither texts nor sounds."""
    found = {role: _lengths(table, columns) for role, table in splits.items()}
    edges = _edges(found["test"].values)
    return {
        role: table.append_column(slice_column(LENGTH), _parts(found[role], edges)) for role, table in splits.items()
    }


def _lengths(table: pa.Table, columns: Sequence[Column]) -> _Lengths:
    inputs = {column.name: column.kind for column in columns if column.role == "input"}
    present = {name: kind for name, kind in inputs.items() if name in table.column_names}
    for name, kind in present.items():
        if kind == "audio":
            shapes = [sound_shape(data) for data in table[name].to_pylist()]
            return _Lengths(np.array([shape.frames / shape.rate for shape in shapes]), "s")
    words = [_words(table[name]) for name, kind in present.items() if kind in ("text", "texts")]
    if not words:
        raise DataError(f"slice {LENGTH!r}: rows have neither texts nor sounds, and no column of that name")
    return _Lengths(np.sum(words, axis=0), "words")


def _words(cells: pa.ChunkedArray) -> np.ndarray:
    """int64 [N]: of a text, or of all texts of a list."""
    if is_list(cells.type):
        return np.array([sum(len(text.split()) for text in texts) for texts in cells.to_pylist()], np.int64)
    return np.array([len(text.split()) for text in cells.to_pylist()], np.int64)


def _edges(values: np.ndarray) -> list[float]:
    """The greatest length of each part but the last: quantiles that occur, three digits of each."""
    quantiles = np.quantile(values, _QUARTERS, method="inverted_cdf")
    shown = sorted({value if float(value).is_integer() else float(f"{value:.3g}") for value in quantiles.tolist()})
    return [edge for edge in shown if edge < values.max()]


def _parts(lengths: _Lengths, edges: Sequence[float]) -> pa.Array:
    values, unit = lengths
    is_whole = unit == "words"
    starts = [0.0, *(edge + 1 if is_whole else edge for edge in edges)]
    names = [f"{start:g}–{edge:g} {unit}" for start, edge in zip(starts, edges, strict=False)]
    names.append(f"{starts[-1]:g}+ {unit}")
    return pc.take(pa.array(names, pa.string()), pa.array(np.searchsorted(edges, values, "left")))
