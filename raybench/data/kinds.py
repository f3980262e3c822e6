"""What the cells of a column may be: one reader a kind, from any of the usual shapes of a source to one Arrow type.

    read_cells("value", cells, "price")        # float64, finite
    read_cells("texts", cells, "tokens")       # list<string>

| kind | what comes out |
| --- | --- |
| text | string |
| texts | list of strings (words, choices, references); one string alone is a list of one |
| value | float64, finite |
| values | list of float64, finite; one number alone is a list of one |
| index | int32, from 0; A, B, C … are 0, 1, 2 … |
| name | string: text that is not empty, or a whole number's digits |
| time | float64 to sort by: numbers as they are, dates and times as seconds since 1970 |
| record | struct of float64 (numbers, true and false) and strings (all else); empty cells stay null |
| answers | struct of texts: list of strings, starts: list of int32 (characters, −1: not said), as SQuAD's |
| label, tags, labels | names: a string, a list of strings (`data/labels.py`); indices come later, over all splits |

Pictures have `data/images.py`. An error says what a column holds and what would do.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import DataError, summary

__all__ = [
    "LABEL_KINDS",
    "LIST_LABEL_KINDS",
    "as_lists",
    "as_text",
    "is_list",
    "is_text",
    "read_cells",
    "refuse_null",
]

LABEL_KINDS = frozenset({"label", "labels", "tags"})
LIST_LABEL_KINDS = frozenset({"labels", "tags"})

_ANSWERS = pa.struct({"texts": pa.list_(pa.string()), "starts": pa.list_(pa.int32())})


def read_cells(kind: str, cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    """The cells of a column of the source as this kind has them; DataError for what cannot be."""
    reader = _READERS.get(kind)
    if reader is None:
        raise DataError(f"columns of {kind} ({source!r}) are not read; kinds are {', '.join(_READERS)}")
    return reader(_plain(cells), source)


def refuse_null(cells: pa.ChunkedArray, source: str) -> None:
    """DataError where a cell is empty: which rows a user wants to leave out is theirs to say."""
    if cells.null_count:
        first = pc.index(pc.is_null(cells), True).as_py()
        count = f"{cells.null_count} of {len(cells)} rows"
        raise DataError(f"column {source!r} is empty (null) in {count}, first in row {first}")


def as_text(cells: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    """Cells as strings that are whole UTF-8."""
    try:
        texts = cells.cast(pa.string())
        texts.validate(full=True)  # a cast takes text at its word
    except pa.ArrowException as error:
        raise DataError(f"{what} holds {cells.type} that is no text: {summary(error)}") from error
    return texts


def _plain(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    return cells.cast(cells.type.value_type) if pa.types.is_dictionary(cells.type) else cells


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is one of text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_list(kind: pa.DataType) -> bool:
    """Whether an Arrow type is one of lists."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _text(cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    if not is_text(cells.type):
        raise DataError(f"text column {source!r} holds {cells.type}, not text")
    return as_text(cells, f"text column {source!r}")


def _texts(cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    if is_text(cells.type):  # one alone
        whole = as_text(cells, f"column {source!r}").combine_chunks()
        offsets = pa.array(np.arange(len(whole) + 1, dtype=np.int32))
        return pa.chunked_array([pa.ListArray.from_arrays(offsets, whole)], pa.list_(pa.string()))
    if not is_list(cells.type) or not (is_text(cells.type.value_type) or pa.types.is_null(cells.type.value_type)):
        raise DataError(f"column {source!r} holds {cells.type}, not lists of texts")
    lists = as_lists(cells, pa.string(), source)
    _refuse_null_inside(lists, source)
    return lists


def as_lists(cells: pa.ChunkedArray, value_type: pa.DataType, source: str) -> pa.ChunkedArray:
    """Lists of any sort as list<value_type>."""
    try:
        return cells.cast(pa.list_(value_type))
    except pa.ArrowException as error:
        raise DataError(f"column {source!r} holds {cells.type}: {summary(error)}") from error


def _refuse_null_inside(lists: pa.ChunkedArray, source: str) -> None:
    for row, cell in enumerate(lists.to_pylist() if pc.list_flatten(lists).null_count else []):
        if None in cell:
            raise DataError(f"column {source!r}: row {row} holds an empty (null) element")


def _value(cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    if is_text(cells.type):
        cells = _parsed(cells, source)
    if not (pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type) or pa.types.is_decimal(cells.type)):
        raise DataError(f"value column {source!r} holds {cells.type}, not numbers")
    values = cells.cast(pa.float64())
    finite = pc.is_finite(values)
    if not pc.all(finite).as_py():
        row = pc.index(finite, False).as_py()
        raise DataError(f"value column {source!r} holds {values[row].as_py()} in row {row}; values must be finite")
    return values


def _values(cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    if not is_list(cells.type):
        numbers = _value(cells, source).combine_chunks()
        offsets = pa.array(np.arange(len(numbers) + 1, dtype=np.int32))
        return pa.chunked_array([pa.ListArray.from_arrays(offsets, numbers)], pa.list_(pa.float64()))
    lists = as_lists(cells, pa.float64(), source)
    _refuse_null_inside(lists, source)
    if not pc.all(pc.is_finite(pc.list_flatten(lists))).as_py():
        raise DataError(f"column {source!r} holds a number that is not finite; values must be")
    return lists


def _parsed(cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    """Numbers that a file without types (CSV) holds as text."""
    try:
        return pc.utf8_trim_whitespace(cells).cast(pa.float64())
    except pa.ArrowInvalid:
        for row, cell in enumerate(cells.to_pylist()):
            if not _is_number(cell):
                said = "is empty" if not (cell or "").strip() else f"holds {cell!r}, which is no number,"
                raise DataError(f"column {source!r} {said} in row {row}") from None
        raise


def _is_number(cell: str | None) -> bool:
    try:
        float(cell or "")
    except ValueError:
        return False
    return True


def _record(cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    """Numbers and categories side by side."""
    struct = cells.combine_chunks()
    names = [field.name for field in struct.type]
    return pa.chunked_array([pa.StructArray.from_arrays([_part(struct.field(name), name) for name in names], names)])


def _part(cells: pa.Array, name: str) -> pa.Array:
    kind = cells.type
    if pa.types.is_dictionary(kind):
        return _part(cells.cast(kind.value_type), name)
    if pa.types.is_boolean(kind):
        return _part(cells.cast(pa.int8()), name)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = cells.cast(pa.float64())
        return pc.if_else(pc.is_finite(values), values, None)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise DataError(f"column {name!r} holds {kind}; a row has numbers and names, so leave it out of columns")
    texts = as_text(pa.chunked_array([cells]), f"column {name!r}").combine_chunks()
    texts = pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), None, texts)
    try:  # a file without types
        return _part(pc.utf8_trim_whitespace(texts).cast(pa.float64()), name)
    except pa.ArrowInvalid:
        return texts


def _index(cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    if is_text(cells.type):
        cells = _letters(cells)
    if is_text(cells.type):
        parsed = _parsed(cells, source)
        cells = parsed.cast(pa.int64()) if pc.all(pc.equal(pc.floor(parsed), parsed)).as_py() else parsed
    if not pa.types.is_integer(cells.type):
        raise DataError(f"column {source!r} holds {cells.type}; want whole numbers from 0")
    low = pc.min(cells).as_py()
    if low is not None and low < 0:
        row = pc.index(pc.less(cells, 0), True).as_py()
        raise DataError(f"column {source!r} holds {low} in row {row}; want whole numbers from 0")
    return cells.cast(pa.int32())


def _name(cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    if not (is_text(cells.type) or pa.types.is_integer(cells.type)):
        raise DataError(f"column {source!r} holds {cells.type}; want names or whole numbers")
    names = as_text(cells, f"column {source!r}")
    if pc.any(empty := pc.equal(names, "")).as_py():
        raise DataError(f"column {source!r} is empty in row {pc.index(empty, True).as_py()}")
    return names


def _time(cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    if is_text(cells.type) and len(cells) and not _is_number(cells[0].as_py()):
        try:
            cells = pc.utf8_trim_whitespace(cells).cast(pa.timestamp("us"))
        except pa.ArrowInvalid as error:
            raise DataError(f"column {source!r} holds neither numbers nor times: {summary(error)}") from error
    if pa.types.is_temporal(cells.type):
        microseconds = cells.cast(pa.timestamp("us", getattr(cells.type, "tz", None)), safe=False).cast(pa.int64())
        return pc.divide(microseconds.cast(pa.float64()), 1e6)
    return _value(cells, source)


def _letters(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """A, B, C … (ARC's and CommonsenseQA's keys) as 0, 1, 2 …; cells that are no single capitals as they are."""
    if not pc.all(pc.match_substring_regex(cells, r"^[A-Z]$")).as_py():
        return cells
    return pc.index_in(cells, value_set=pa.array(list(string.ascii_uppercase), cells.type))


def _answers(cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    """SQuAD's {text, answer_start}, a list of such, or texts alone."""
    if is_text(cells.type) or (is_list(cells.type) and is_text(cells.type.value_type)):
        found = [(texts, [-1] * len(texts)) for texts in _texts(cells, source).to_pylist()]
    else:
        found = []
        for row, cell in enumerate(cells.to_pylist()):
            pieces = cell if isinstance(cell, list) else [cell]
            texts: list[str] = []
            starts: list[int] = []
            for piece in pieces:
                text = piece.get("text") if isinstance(piece, dict) else None
                if text is None:
                    raise DataError(f"answers {source!r}: row {row} holds no 'text'; want SQuAD's text, answer_start")
                own = text if isinstance(text, list) else [text]
                start = piece.get("answer_start")
                begins = start if isinstance(start, list) else [-1 if start is None else start] * len(own)
                if len(own) != len(begins) or None in own or None in begins:
                    raise DataError(f"answers {source!r}: row {row} has {len(own)} texts and {len(begins)} starts")
                texts, starts = texts + own, starts + [int(begin) for begin in begins]
            found.append((texts, starts))
    return pa.chunked_array([pa.array([{"texts": t, "starts": s} for t, s in found], _ANSWERS)], _ANSWERS)


_READERS: Mapping[str, Callable[[pa.ChunkedArray, str], pa.ChunkedArray]] = {
    "text": _text,
    "texts": _texts,
    "value": _value,
    "values": _values,
    "index": _index,
    "name": _name,
    "time": _time,
    "record": _record,
    "answers": _answers,
}
