"""Files of rows as text, CSV or lines of JSON, a piece at a time: the same cells as of the whole, or none."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property

import fsspec
import numpy as np
import pyarrow as pa

from raybench.core.errors import DataError
from raybench.data.csv_rows import csv_names, csv_pieces
from raybench.data.files import refuse_other
from raybench.data.files_in_pieces import FilesInPieces
from raybench.data.json_rows import NotLinesError, Piece, line_pieces
from raybench.data.raw_split import open_file

__all__ = ["CsvFiles", "JsonFiles"]


class _TextFiles(FilesInPieces):
    @cached_property
    def num_bytes(self) -> int:
        """As they lie on the disk, compressed or not."""
        return sum(system.size(path) for system, path in map(fsspec.url_to_fs, self.files))

    @cached_property
    def schemas(self) -> list[pa.Schema]:
        for file in self.files:
            refuse_other(file, self.format)
        return [self._schema(file) for file in self.files]

    def pieces(self, wanted: Collection[str], numbers: np.ndarray | None = None) -> Iterator[tuple[int, pa.Table]]:
        row = 0
        for file in self.files:
            for table in self._pieces(file, [name for name in self.schema.names if name in wanted]):
                yield row, table
                row += table.num_rows

    def _schema(self, file: str) -> pa.Schema:
        raise NotImplementedError

    def _pieces(self, file: str, chosen: list[str]) -> Iterator[pa.Table]:
        raise NotImplementedError


class CsvFiles(_TextFiles):
    """All cells are text."""

    format = "csv"

    def _schema(self, file: str) -> pa.Schema:
        return pa.schema(dict.fromkeys(csv_names(file), pa.string()))

    def _pieces(self, file: str, chosen: list[str]) -> Iterator[pa.Table]:
        return csv_pieces(file, chosen)


class JsonFiles(_TextFiles):
    """Types are those of the first piece; a piece that has others, or other columns, is an exception."""

    format = "json"

    def _schema(self, file: str) -> pa.Schema:
        with open_file(file) as opened:
            first = next(line_pieces(opened, None), None)
        if first is None or first.schema is None:
            raise NotLinesError
        return first.schema

    def _pieces(self, file: str, chosen: list[str]) -> Iterator[pa.Table]:
        with open_file(file) as opened:
            for piece in line_pieces(opened, chosen):
                yield self._typed(piece, chosen)

    def _typed(self, piece: Piece, chosen: list[str]) -> pa.Table:
        """A column that is null in this piece, or in no line of it, is one of nulls."""
        types = [self.schema.field(name).type for name in chosen]
        found = [piece.columns.get(name, pa.nulls(piece.num_rows)) for name in chosen]
        arrays = [array for array in found if isinstance(array, pa.Array)]
        if len(arrays) < len(found) or not set(piece.names).issubset(self.schema.names):
            raise DataError("a piece has other columns than the first")
        filled = [
            pa.nulls(len(one), kind) if one.type == pa.null() else one for one, kind in zip(arrays, types, strict=True)
        ]
        if [array.type for array in filled] != types:
            raise DataError("a piece has other types than the first")
        return pa.table(filled, chosen)
