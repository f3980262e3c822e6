"""Files of one split whose rows are read whole, or a piece at a time.

files = CsvFiles(["a.csv", "b.csv"])                    # or ParquetFiles, JsonFiles
files({"text"})                                         # RawSplit, as any reader gives it
for start, table in files.pieces({"text"}): ...         # some rows, of which `start` is the first's number
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa

from raybench.data.files import read_files
from raybench.data.raw_split import RawSplit

__all__ = ["FilesInPieces"]


class FilesInPieces(ABC):
    """Files of one split, in their order."""

    format: ClassVar[str]

    def __init__(self, files: list[str]) -> None:
        self.files = files

    def __call__(self, wanted: Collection[str]) -> RawSplit:
        return read_files(self.format, self.files, wanted)

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """About what all rows take."""

    @property
    @abstractmethod
    def schemas(self) -> list[pa.Schema]:
        """Each file's columns."""

    @abstractmethod
    def pieces(self, wanted: Collection[str], numbers: np.ndarray | None = None) -> Iterator[tuple[int, pa.Table]]:
        """The wanted columns of all rows; pieces that hold none of `numbers`, which ascend, may be left out.

        Whatever is wrong with a file is an exception; whoever reads it whole tells it.
        """

    @property
    def schema(self) -> pa.Schema:
        """The first file's."""
        return self.schemas[0]

    @property
    def alike(self) -> bool:
        """Whether all files have the same columns, each name once, and no types that would have to be made alike."""
        names = self.schema.names
        return len(set(names)) == len(names) and all(one.equals(self.schema) for one in self.schemas)
