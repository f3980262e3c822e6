"""Rows as hashes of their content: ids, canonical order, cuts and a dataset's fingerprint come from them.

    hashes = RowHashes.of([table["text"]])
    hashes.ids()          # 32 hex characters a row
    hashes.order          # uint64 a row: sorting by it shuffles, the same on any machine
    hashes.side           # uint64 a row, independent of `order`: cuts a test split

One BLAKE2b of 32 bytes a row is spent and divided among the three (about 0.5 µs for a short text).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core import slice_column
from raybench.core.column_hashes import BLOCK, cell_digests, hex_column

__all__ = ["RowHashes", "fingerprint"]

_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class RowHashes:
    """The content hashes of rows, [n, 32] uint8."""

    digests: np.ndarray

    @classmethod
    def of(cls, columns: Sequence[pa.ChunkedArray]) -> RowHashes:
        """Hashes of rows of text, bytes, structs of these and integers, or anything else that JSON can hold."""
        return cls(cell_digests(columns, 32))

    @property
    def order(self) -> np.ndarray:
        return self._words(2)

    @property
    def side(self) -> np.ndarray:
        return self._words(3)

    def ids(self) -> pa.ChunkedArray:
        """The rows' names, in hex; of equal contents that stand together the second is x-2, the third x-3."""
        names = hex_column(self.digests[:, :_ID_BYTES])
        first, second = self._words(0), self._words(1)
        again = np.append(False, (first[1:] == first[:-1]) & (second[1:] == second[:-1]))[: len(first)]
        if not again.any():
            return names
        place = np.arange(len(again))
        counted = place - np.maximum.accumulate(np.where(again, 0, place)) + 1
        numbers = pa.array(counted[again]).cast(pa.string())
        told = pc.binary_join_element_wise(names.filter(pa.array(again)), numbers, "-")
        return pc.replace_with_mask(names, pa.array(again), told.combine_chunks())

    def sort(self, ties: Callable[[np.ndarray], Sequence[np.ndarray]] = lambda rows: ()) -> np.ndarray:
        """The rows' canonical order: by `order`, equal contents together, those by what `ties` gives of their rows."""
        key = self.order
        found = np.argsort(key)
        ordered = key[found]
        equal = ordered[1:] == ordered[:-1]
        if equal.any():
            places = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
            rows = np.sort(found[places])
            keys = [key[rows], self._words(0)[rows], self._words(1)[rows], *ties(rows)]
            found[places] = rows[np.lexsort(keys[::-1])]
        return found

    def take(self, rows: np.ndarray) -> RowHashes:
        return RowHashes(self.digests[rows])

    def _words(self, index: int) -> np.ndarray:
        return self.digests.view(">u8")[:, index].astype(np.uint64)


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
        for piece in _lines(table["id"]):
            digest.update(piece)
        digest.update(hashes.digests.reshape(-1).data)
        for column in (table[name] for name in inputs if pa.types.is_dictionary(table[name].type)):
            held = [chunk.dictionary for chunk in column.chunks[:1]]  # what rows have in common, such as a catalogue
            digest.update(RowHashes.of([pa.chunked_array(held, column.type.value_type)]).digests.tobytes())
        for column in (table[target] for target in targets):
            if pa.types.is_int32(column.type):
                digest.update(column.to_numpy().astype("<i4").tobytes())
            else:
                digest.update(RowHashes.of([column]).digests.tobytes())
    return digest.hexdigest()


def _lines(texts: pa.ChunkedArray) -> Iterator[bytes]:
    """What `add` would hash of all texts, a line each, in pieces."""
    size = (pc.sum(pc.binary_length(texts)).as_py() or 0) + max(len(texts) - 1, 0)
    yield size.to_bytes(8, "little")
    begun = b""
    for batch in pa.table([texts], [""]).to_batches(max_chunksize=BLOCK):
        offsets = pa.array([0, batch.num_rows], pa.int32())
        lines = pc.binary_join(pa.ListArray.from_arrays(offsets, batch.column(0)), "\n")
        yield begun + lines[0].as_buffer().to_pybytes()
        begun = b"\n"
