"""A split in Parquet files: read whole, or a piece at a time.

split = ParquetFiles(["a.parquet", "b.parquet"])
split({"text"})                                         # RawSplit, as any reader gives it
for start, table in split.pieces({"text"}): ...         # some rows, of which `start` is the first's number
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raybench.data.files_in_pieces import FilesInPieces
from raybench.data.raw_split import open_file

__all__ = ["ParquetFiles"]

_PIECE_BYTES = 32 << 20  # as they lie in memory, on average of a file
_MOST_ROWS = 1 << 17


class ParquetFiles(FilesInPieces):
    """Files of one split, in their order."""

    format = "parquet"

    @cached_property
    def _footers(self) -> list[tuple[pq.FileMetaData, pa.Schema]]:
        found = []
        for file in self.files:
            with open_file(file) as opened:
                parquet = pq.ParquetFile(opened)
                found.append((parquet.metadata, parquet.schema_arrow))
        return found

    @property
    def num_bytes(self) -> int:
        """Of all columns, as they lie in memory."""
        groups = ((footer, number) for footer, _ in self._footers for number in range(footer.num_row_groups))
        return sum(footer.row_group(number).total_byte_size for footer, number in groups)

    @cached_property
    def schemas(self) -> list[pa.Schema]:
        return [schema for _, schema in self._footers]

    def pieces(self, wanted: Collection[str], numbers: np.ndarray | None = None) -> Iterator[tuple[int, pa.Table]]:
        """Of `numbers`, the row groups that hold one."""
        first = 0
        for file, (footer, schema) in zip(self.files, self._footers, strict=True):
            chosen = [name for name in schema.names if name in wanted]
            with open_file(file) as opened:
                parquet = pq.ParquetFile(opened)
                for group in range(footer.num_row_groups):
                    head = footer.row_group(group)
                    last = first + head.num_rows
                    if numbers is None or np.searchsorted(numbers, first) < np.searchsorted(numbers, last):
                        rows = _PIECE_BYTES * head.num_rows // max(head.total_byte_size, 1)
                        size = max(1, min(_MOST_ROWS, rows))
                        start = first
                        for batch in parquet.iter_batches(size, [group], chosen):
                            table = pa.Table.from_batches([batch])
                            yield start, table.replace_schema_metadata(schema.metadata)
                            start += batch.num_rows
                    first = last
