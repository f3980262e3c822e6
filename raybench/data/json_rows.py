"""Rows of a JSON file: one object a line, one list of objects, or what COCO's annotation files hold.

json_rows("a.jsonl", {"text"})                              # RawSplit
with open_file("a.jsonl") as opened:
    for piece in line_pieces(opened, {"text"}): ...         # some lines at a time: Piece

A value is what the json module says, and a column of the one type that all its values have: pyarrow's own reader turns
text like 2024-01-01 into dates. It is six times as fast, so it is asked first where the types are known from the lines
before and are such that it reads the same or nothing. What it refuses the json module reads, and says what is wrong.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.json

from raybench.core.errors import DataError
from raybench.data.coco import coco_rows, is_coco
from raybench.data.raw_split import RawSplit, column_of, open_file, rows_split, table_of

__all__ = ["NotLinesError", "Piece", "json_rows", "line_pieces"]

_PIECE_BYTES = 4 << 20  # a reader of lines holds no more
_PLAIN = [
    pa.string(),
    pa.int64(),
    pa.bool_(),
    pa.null(),
]  # read alike; among fractions pyarrow rounds integers
_ALIKE = frozenset([*_PLAIN, *map(pa.list_, _PLAIN)])


class NotLinesError(Exception):
    """The file holds one value, or no objects."""


class Piece(NamedTuple):
    """Some rows: the wanted columns, as lists where no column can hold them; the names of all seen so far."""

    num_rows: int
    columns: Mapping[str, pa.Array | list[Any]]
    names: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema | None:
        """Its types, if it has them."""
        types = {name: column.type for name, column in self.columns.items() if not isinstance(column, list)}
        return pa.schema(types) if len(types) == len(self.columns) else None


def json_rows(file: str, wanted: Collection[str]) -> RawSplit:
    """All rows; of a file of lines nothing is held that nobody wants."""
    try:
        with open_file(file) as opened:
            return _joined(line_pieces(opened, wanted), wanted)
    except NotLinesError:
        pass
    with open_file(file) as opened:
        text = opened.read().decode("utf-8-sig")
    if '"annotations"' in text and '"categories"' in text and is_coco(content := _whole(text)):
        return rows_split(coco_rows(content, file), wanted)
    if text.lstrip()[:1] == "[":
        return rows_split(json.loads(text), wanted)
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        rows += [_object(line, number)] if line.strip() else []
    return rows_split(rows, wanted)


def line_pieces(lines: Any, wanted: Collection[str] | None) -> Iterator[Piece]:
    """The objects of a file of lines, with the wanted columns (None: all); NotLinesError for another file."""
    names: dict[str, None] = {}
    known: pa.Schema | None = None
    row, line = 0, 1
    while block := lines.read(_PIECE_BYTES):
        block += lines.readline()
        piece = None if known is None else _at_once(block, names, known)
        if piece is None:
            piece = _one_by_one(block, names, wanted, row, line)
            known = piece.schema if piece.schema is not None and _ALIKE.issuperset(piece.schema.types) else None
        yield piece
        row += piece.num_rows
        line += block.count(b"\n")


def _at_once(block: bytes, names: Collection[str], known: pa.Schema) -> Piece | None:
    """Lines of objects without a new name, of types that are known; None for any others."""
    try:
        block.decode()  # which pyarrow does not look at
        table = pa.json.read_json(
            io.BytesIO(block),
            pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
            pa.json.ParseOptions(explicit_schema=known),
        )
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    num_lines = block.count(b"\n") + (not block.endswith(b"\n"))
    num_objects = block.count(b"\n{") + block.startswith(b"{")  # pyarrow parts objects wherever they end
    if not table.num_rows == num_lines == num_objects or not set(table.column_names).issubset(names):
        return None
    return Piece(table.num_rows, {name: table[name].combine_chunks() for name in known.names}, tuple(names))


def _one_by_one(
    block: bytes, names: dict[str, None], wanted: Collection[str] | None, row: int, first_line: int
) -> Piece:
    """Lines as the json module reads them, the first of which is this row and line of the file; adds to `names`."""
    values: dict[str, list[Any]] = {name: [] for name in names if wanted is None or name in wanted}
    count = 0
    for number, line in enumerate(io.BytesIO(block), start=first_line):
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        if not text.strip():
            continue
        is_first = row + count == 0
        if is_first and (text.lstrip()[0] != "{" or ('"annotations"' in text and '"categories"' in text)):
            raise NotLinesError  # a list, or COCO's, perhaps all in this line: it is read once
        try:
            found = _object(text, number)
        except DataError as error:
            if is_first:
                raise NotLinesError from error
            raise
        if not isinstance(found, dict):
            raise NotLinesError
        for name in found:
            if name not in names:
                names[name] = None
                if wanted is None or name in wanted:
                    values[name] = [None] * count
        for name, column in values.items():
            column.append(found.get(name))
        count += 1
    return Piece(count, {name: _array(column) for name, column in values.items()}, tuple(names))


def _array(values: list[Any]) -> pa.Array | list[Any]:
    try:
        found = pa.array(values)
    except Exception:  # pyarrow has no one exception; whoever joins the pieces says what is wrong
        return values
    return found if isinstance(found, pa.Array) else found.combine_chunks()


def _joined(pieces: Iterator[Piece], wanted: Collection[str]) -> RawSplit:
    parts: dict[str, list[pa.Array | list[Any]]] = {}
    names: tuple[str, ...] = ()
    count = 0
    for piece in pieces:
        for name, column in piece.columns.items():
            parts.setdefault(name, [pa.nulls(count)] if count else []).append(column)
        names, count = piece.names, count + piece.num_rows
    if count < 2:
        raise NotLinesError
    return RawSplit(table_of({name: _column(name, parts[name]) for name in names if name in parts}, count), names)


def _column(name: str, parts: list[pa.Array | list[Any]]) -> pa.ChunkedArray | pa.Array:
    """Parts as one column, of the type that all their values have together."""
    arrays = [part for part in parts if isinstance(part, pa.Array)]
    types = {array.type for array in arrays} - {pa.null()}
    if len(types) > 1 or len(arrays) < len(parts):
        return column_of(name, [value for part in parts for value in _values(part)])
    kind = types.pop() if types else pa.null()
    return pa.chunked_array([pa.nulls(len(one), kind) if one.type == pa.null() else one for one in arrays], kind)


def _values(part: pa.Array | list[Any]) -> list[Any]:
    return part if isinstance(part, list) else part.to_pylist()


def _object(line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"line {number} is no JSON object: {error}") from error


def _whole(text: str) -> Any:
    """The one value that a text is, or None."""
    try:
        return json.loads(text)
    except ValueError:
        return None
