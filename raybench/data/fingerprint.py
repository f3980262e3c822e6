"""Rows as hashes of their content: ids, canonical order, cuts and a dataset's fingerprint come from them.

    hashes = RowHashes.of([table["text"]])
    hashes.ids()          # 32 hex characters a row
    hashes.order          # uint64 a row: sorting by it shuffles, the same on any machine
    hashes.side           # uint64 a row, independent of `order`: cuts a test split

One BLAKE2b of 32 bytes a row is spent and divided among the three (about 1 µs for a short text).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from raybench.core import slice_column
from raybench.core.identity import canonical_json
from raybench.data.kinds import is_text

__all__ = ["RowHashes", "fingerprint"]

_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class RowHashes:
    """The content hashes of rows, [n, 32] uint8."""

    digests: np.ndarray

    @classmethod
    def of(cls, columns: Sequence[pa.ChunkedArray]) -> RowHashes:
        """Hashes of rows of text, bytes, structs of these and integers, or anything else that JSON can hold."""
        blake2b = hashlib.blake2b
        if len(columns) == 1:
            joined = b"".join([blake2b(value, digest_size=32).digest() for value in _bytes(columns[0])])
        else:
            digests = []
            for row in zip(*map(_bytes, columns), strict=True):
                digest = blake2b(digest_size=32)
                for value in row:  # lengths keep ("ab", "c") and ("a", "bc") apart
                    digest.update(len(value).to_bytes(8, "little"))
                    digest.update(value)
                digests.append(digest.digest())
            joined = b"".join(digests)
        return cls(np.frombuffer(joined, np.uint8).reshape(-1, 32))

    @property
    def order(self) -> np.ndarray:
        return self._words(2)

    @property
    def side(self) -> np.ndarray:
        return self._words(3)

    def ids(self) -> list[str]:
        return [row.tobytes().hex() for row in self.digests[:, :_ID_BYTES]]

    def sort(self, *ties: np.ndarray) -> np.ndarray:
        """The rows' canonical order: by `order`, equal contents together, ties by what is given."""
        return np.lexsort((*reversed(ties), self._words(1), self._words(0), self.order))

    def take(self, rows: np.ndarray) -> RowHashes:
        return RowHashes(self.digests[rows])

    def _words(self, index: int) -> np.ndarray:
        return np.ascontiguousarray(self.digests).view(">u8")[:, index].astype(np.uint64)


def fingerprint(
    labels: Sequence[str], splits: Mapping[str, tuple[pa.Table, RowHashes]], targets: Sequence[str] = ("label",)
) -> str:
    """The hash of what is trained on and scored: labels, and of each split column names, ids, contents, targets.

    Names, paths, file formats and slices are not in it.
    """
    digest = hashlib.blake2b(digest_size=16)

    def add(text: str) -> None:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)

    add("\n".join([str(len(labels)), *labels]))
    for name in sorted(splits):
        table, hashes = splits[name]
        inputs = [column for column in table.column_names if not column.startswith(slice_column(""))]
        add("\n".join([name, str(table.num_rows), *inputs]))
        add("\n".join(table["id"].to_pylist()))
        digest.update(hashes.digests.tobytes())
        for column in (table[name] for name in inputs if pa.types.is_dictionary(table[name].type)):
            held = [chunk.dictionary for chunk in column.chunks[:1]]  # what rows have in common, such as a catalogue
            digest.update(RowHashes.of([pa.chunked_array(held, column.type.value_type)]).digests.tobytes())
        for column in (table[target] for target in targets):
            if pa.types.is_int32(column.type):
                digest.update(column.to_numpy().astype("<i4").tobytes())
            else:
                digest.update(RowHashes.of([column]).digests.tobytes())
    return digest.hexdigest()


def _bytes(column: pa.ChunkedArray) -> Iterator[bytes]:
    for chunk in column.chunks:
        if pa.types.is_struct(chunk.type) and not any(pa.types.is_nested(field.type) for field in chunk.type):
            for row in zip(*(chunk.field(index).to_pylist() for index in range(chunk.type.num_fields)), strict=True):
                yield b"\0".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
        elif pa.types.is_binary(chunk.type) or pa.types.is_large_binary(chunk.type):
            yield from chunk.to_pylist()
        elif not is_text(chunk.type):
            for value in chunk.to_pylist():
                yield canonical_json(value).encode("utf-8", "surrogatepass")
        else:
            for value in chunk.to_pylist():
                yield value.encode("utf-8", "surrogatepass")
