"""Features by row for one network that never changes: in memory, and as Arrow files on this machine's disk.

    cache = FeatureCache(feature_directory() / name)
    cache.put(64, keys, features_KH, seconds_K); cache.flush()
    cache.get(64, keys)
    other.absorb(cache.part([(64, key) for key in keys]))          # to another process

The key of a row is the hash of its input and the length it was padded to; the name of a cache is all that decides the
network's bits (weights, variant, device, torch). `RAYBENCH_CACHE` is the directory (empty: memory alone),
`RAYBENCH_CACHE_BYTES` the size at which the caches used longest ago are removed.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa

from raybench.models.cache import ProcessCache

__all__ = ["FEATURES", "FeatureCache", "feature_directory", "remove_oldest"]

_DEFAULT_BYTES = 4 << 30
_KEY_BYTES = 16


def feature_directory() -> Path | None:
    """Where caches lie on this machine, or None for memory alone."""
    asked = os.environ.get("RAYBENCH_CACHE")
    if asked == "":
        return None
    base = Path(asked) if asked else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "raybench"
    return base / "features"


class FeatureCache:
    """Row keys → places in a growing array; what is new goes to disk with `flush`.

    Each row keeps the seconds it took, and `saved_seconds` counts those that looking up has saved so far: a trial
    is charged for its features whether it computed them or found them.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._places: dict[tuple[int, bytes], int] = {}
        self._values = np.zeros((0, 0), dtype=np.float32)
        self._seconds = np.zeros(0, dtype=np.float32)
        self.saved_seconds = 0.0
        self._new: list[tuple[int, bytes]] = []  # computed here and not on disk yet
        if directory is not None and directory.is_dir():
            os.utime(directory)  # used now: the last to be removed
            for part in sorted(directory.glob("*.arrow")):
                self._read(part)

    def __len__(self) -> int:
        return len(self._places)

    def has(self, padded: int, key: bytes) -> bool:
        return (padded, key) in self._places

    def put(self, padded: int, keys: list[bytes], features: np.ndarray, seconds: np.ndarray) -> None:
        """Keep float32 [K, H] under K new keys, and how long each took [K]."""
        self._keep(padded, keys, features, seconds)
        self._new += [(padded, key) for key in keys]

    def _keep(self, padded: int, keys: list[bytes], features: np.ndarray, seconds: np.ndarray) -> None:
        used = len(self._places)
        if used + len(keys) > len(self._values):
            grown = np.empty((max(256, 2 * (used + len(keys))), features.shape[1]), dtype=np.float32)
            if used:
                grown[:used] = self._values[:used]
            self._values = grown
            self._seconds = np.resize(self._seconds, len(grown)) if used else np.zeros(len(grown), dtype=np.float32)
        for key in keys:
            self._places[padded, key] = len(self._places)
        self._values[used : used + len(keys)] = features
        self._seconds[used : used + len(keys)] = seconds

    def save(self, padded: int, keys: list[bytes]) -> None:
        """Count these rows as looked up instead of computed."""
        self.saved_seconds += float(self._seconds[[self._places[padded, key] for key in keys]].sum(dtype=np.float64))

    def get(self, padded: int, keys: list[bytes]) -> np.ndarray:
        """float32 [B, H]; every key must be there."""
        return self._values[[self._places[padded, key] for key in keys]]

    def part(self, rows: list[tuple[int, bytes]]) -> pa.Table:
        """Rows, given as (padded, key), as a table for `absorb`."""
        places = [self._places[row] for row in rows]
        values = self._values[places]
        return pa.table(
            {
                "padded": pa.array([padded for padded, _ in rows], type=pa.int32()),
                "key": pa.array([key for _, key in rows], type=pa.binary(_KEY_BYTES)),
                "seconds": pa.array(self._seconds[places]),
                "features": pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1]),
            }
        )

    def absorb(self, part: pa.Table) -> None:
        """Take what is not here from another process's part; that one writes it to disk, not this one."""
        padded, keys = part.column("padded").to_pylist(), part.column("key").to_pylist()
        fresh = [i for i, place in enumerate(zip(padded, keys, strict=True)) if place not in self._places]
        if not fresh:
            return
        features = part.column("features").combine_chunks()
        values = features.flatten().to_numpy().reshape(len(part), features.type.list_size)
        seconds = part.column("seconds").to_numpy()
        for size in sorted({padded[i] for i in fresh}):
            chosen = [i for i in fresh if padded[i] == size]
            self._keep(size, [keys[i] for i in chosen], values[chosen], seconds[chosen])

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
                self.absorb(pa.ipc.open_file(source).read_all())
        except (pa.ArrowException, OSError, KeyError, AttributeError):
            part.unlink(missing_ok=True)  # torn or foreign: computed again


def remove_oldest(directory: Path, most_bytes: int) -> None:
    """Remove whole caches, the longest unused first, until the rest fits."""
    caches = sorted((path for path in directory.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    sizes = {path: sum(part.stat().st_size for part in path.glob("*")) for path in caches}
    total = sum(sizes.values())
    for path in caches[:-1]:
        if total <= most_bytes:
            return
        shutil.rmtree(path, ignore_errors=True)
        total -= sizes[path]


FEATURES = ProcessCache(8)
