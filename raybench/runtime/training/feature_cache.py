"""Features by row for one network that never changes: in memory, and as Arrow files on this machine's disk.

    cache = FeatureCache(feature_directory() / name)
    cache.put(64, keys, features_KH, seconds_K); cache.flush()
    cache.get(64, keys)
    other.include(cache.part([(64, key) for key in keys]))          # to another process

The key of a row is the hash of its input and the length it was padded to; the name of a cache is all that decides the
network's bits (weights, variant, device, torch). `RAYBENCH_CACHE` is the directory (empty: memory alone),
`RAYBENCH_CACHE_BYTES` the size at which the caches used longest ago are removed.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.core.cache import cache_directory

__all__ = ["FeatureCache", "feature_directory", "remove_oldest"]

_DEFAULT_BYTES = 4 << 30
_KEY_BYTES = 16


def feature_directory() -> Path | None:
    """Where caches lie on this machine, or None for memory alone."""
    base = cache_directory()
    return None if base is None else base / "features"


class FeatureCache:
    """Row keys → places in pieces of features; what is new goes to disk with `flush`.

    What is on disk is mapped, not read: a row's features come into memory when somebody asks for them.
    Each row keeps the seconds it took, and `saved_seconds` counts those that looking up has saved so far: a trial
    is charged for its features whether it computed them or found them.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._index: dict[tuple[int, bytes], tuple[int, int]] = {}  # → (piece, row of it)
        self._pieces: list[_Piece] = []
        self.saved_seconds = 0.0
        self._new: list[tuple[int, bytes]] = []  # computed here and not on disk yet
        if directory is not None:
            with suppress(OSError):  # not there yet, or removed by another process to make room
                os.utime(directory)  # used now: the last to be removed
            for part in _listed(directory):
                if part.suffix == ".arrow":
                    self._read(part)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def num_bytes(self) -> int:
        """What its features hold in memory, or mapped."""
        return sum(piece.features.nbytes for piece in self._pieces)

    def has(self, padded: int, key: bytes) -> bool:
        return (padded, key) in self._index

    def put(self, padded: int, keys: list[bytes], features: np.ndarray, seconds: np.ndarray) -> None:
        """Keep float32 [K, H] under K new keys, and how long each took [K]."""
        rows = [(padded, key) for key in keys]
        self._keep(rows, range(len(rows)), _Piece(features, np.broadcast_to(seconds, len(rows)).astype(np.float32)))
        self._new += rows

    def _keep(self, rows: Sequence[tuple[int, bytes]], places: Iterable[int], piece: _Piece) -> None:
        """Take a piece whose rows of these `places` are new."""
        self._index.update({rows[place]: (len(self._pieces), place) for place in places})
        self._pieces.append(piece)

    def _gather(self, rows: Sequence[tuple[int, bytes]]) -> _Piece:
        """float32 [B, H] and [B] of rows in any order, piece by piece."""
        found = np.array([self._index[row] for row in rows], dtype=np.int64).reshape(-1, 2)
        numbers = np.unique(found[:, 0]).tolist()
        features = np.empty((len(rows), self._pieces[numbers[0]].features.shape[1]), dtype=np.float32)
        seconds = np.empty(len(rows), dtype=np.float32)
        for number in numbers:
            here = found[:, 0] == number
            features[here] = self._pieces[number].features[found[here, 1]]
            seconds[here] = self._pieces[number].seconds[found[here, 1]]
        return _Piece(features, seconds)

    def save(self, padded: int, keys: list[bytes]) -> None:
        """Count these rows as looked up instead of computed."""
        if keys:
            self.saved_seconds += float(self._gather([(padded, key) for key in keys]).seconds.sum(dtype=np.float64))

    def get(self, padded: int, keys: list[bytes]) -> np.ndarray:
        """float32 [B, H]; every key must be there."""
        return self._gather([(padded, key) for key in keys]).features

    def part(self, rows: list[tuple[int, bytes]]) -> pa.Table:
        """Rows, given as (padded, key), as a table for `include`."""
        features, seconds = self._gather(rows)
        return pa.table(
            {
                "padded": pa.array([padded for padded, _ in rows], type=pa.int32()),
                "key": pa.array([key for _, key in rows], type=pa.binary(_KEY_BYTES)),
                "seconds": pa.array(seconds),
                "features": pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), features.shape[1]),
            }
        )

    def include(self, part: pa.Table) -> None:
        """Take what is not here from another process's part; that one writes it to disk, not this one.

        Copied: the part may lie in memory that its owner wants back.
        """
        for batch in part.to_batches():
            rows, piece = _rows_of(batch)
            fresh = [place for place, row in enumerate(rows) if row not in self._index]
            if fresh:
                copied = _Piece(piece.features[fresh], piece.seconds[fresh])
                self._keep([rows[place] for place in fresh], range(len(fresh)), copied)

    def flush(self) -> None:
        """Write what was computed here as one more file; a disk that refuses costs the cache, not the trial."""
        new, self._new = self._new, []
        if self._directory is None or not new:
            return
        table = self.part(new)
        name = uuid.uuid4().hex
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with (
                pa.OSFile(str(self._directory / f"{name}.tmp"), "wb") as sink,
                pa.ipc.new_file(sink, table.schema) as out,
            ):
                out.write_table(table)
            (self._directory / f"{name}.tmp").rename(self._directory / f"{name}.arrow")
            remove_oldest(self._directory.parent, int(os.environ.get("RAYBENCH_CACHE_BYTES", _DEFAULT_BYTES)))
        except OSError:
            self._directory = None

    def _read(self, part: Path) -> None:
        try:
            with pa.memory_map(str(part)) as source:
                mapped = [_rows_of(batch) for batch in pa.ipc.open_file(source).read_all().to_batches()]
            for rows, piece in mapped:
                self._keep(rows, [place for place, row in enumerate(rows) if row not in self._index], piece)
        except FileNotFoundError:
            return
        except (pa.ArrowException, OSError, KeyError, AttributeError):
            part.unlink(missing_ok=True)  # torn or foreign: computed again


class _Piece(NamedTuple):
    """Features of rows that came together, float32 [K, H], and the seconds of each, float32 [K]."""

    features: np.ndarray
    seconds: np.ndarray


def _rows_of(batch: pa.RecordBatch) -> tuple[list[tuple[int, bytes]], _Piece]:
    """The keys of a batch's rows, and views of its features and seconds."""
    rows = list(zip(batch.column("padded").to_pylist(), batch.column("key").to_pylist(), strict=True))
    features = batch.column("features")
    values = features.flatten().to_numpy().reshape(len(batch), features.type.list_size)
    return rows, _Piece(values, batch.column("seconds").to_numpy())


def remove_oldest(directory: Path, most_bytes: int) -> None:
    """Remove whole caches, the longest unused first, until the rest fits; others may remove and rename meanwhile."""
    caches = {path: stat.st_mtime for path in _listed(directory) if (stat := _stat(path)) and S_ISDIR(stat.st_mode)}
    sizes = {path: sum(stat.st_size for part in _listed(path) if (stat := _stat(part))) for path in caches}
    total = sum(sizes.values())
    for path in sorted(caches, key=caches.__getitem__)[:-1]:
        if total <= most_bytes:
            return
        shutil.rmtree(path, ignore_errors=True)
        total -= sizes[path]


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
