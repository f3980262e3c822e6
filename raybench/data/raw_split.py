"""A split as its source has it, and what makes one of a table or of a list of rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa

from raybench.core.errors import DataError, summary

__all__ = ["RawSplit", "SplitReader", "column_of", "open_file", "project", "refuse_twice", "rows_split", "table_of"]


class RawSplit(NamedTuple):
    """A split as its source has it: the wanted columns that there are, and the names of all."""

    table: pa.Table
    column_names: tuple[str, ...]


SplitReader = Callable[[Collection[str]], RawSplit]


def project(table: pa.Table, wanted: Collection[str]) -> RawSplit:
    """The wanted columns of a table; DataError where two have one name."""
    refuse_twice(table.column_names, wanted)
    kept = [name for name in table.column_names if name in wanted]
    return RawSplit(table.select(kept), tuple(table.column_names))


def refuse_twice(names: Iterable[str], wanted: Collection[str]) -> None:
    """DataError where two columns have one wanted name: which of them is meant?"""
    for name in wanted:
        if list(names).count(name) > 1:
            raise DataError(f"two columns are named {name!r}; rename one of them", key=("columns",))


def rows_split(rows: Any, wanted: Collection[str]) -> RawSplit:
    """A list of mappings as a split."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError("want a list of objects, one a row")
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    if not all(isinstance(name, str) for name in names):
        raise DataError("want text as the keys of a row")
    columns = {name: column_of(name, [row.get(name) for row in rows]) for name in names if name in wanted}
    return RawSplit(table_of(columns, len(rows)), names)


def table_of(columns: Mapping[str, pa.Array | pa.ChunkedArray], num_rows: int) -> pa.Table:
    """Columns as a table; one of none has its rows all the same, so that another file's column is empty in them."""
    return pa.table(columns) if columns else pa.table({"": pa.nulls(num_rows)}).select([])


def column_of(name: str, values: list[Any]) -> pa.Array | pa.ChunkedArray:
    """Values as a column of the one type that all have; DataError where there is none."""
    try:
        return pa.array(values)
    except Exception as error:  # pyarrow has no one exception for values that no column can hold
        raise DataError(
            f"column {name!r} holds values that no column can: {summary(error)}", key=("columns",)
        ) from error


def open_file(file: str) -> Any:
    """A path or URL opened for reading, unpacked where its name says that it is compressed."""
    return fsspec.open(file, "rb", compression="infer").open()
