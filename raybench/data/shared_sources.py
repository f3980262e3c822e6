"""Sources that several datasets of a job name: opened once, rows read and hashed once, let go with the last reader.

    sources = SharedSources(job.datasets)
    with sources.opened(spec, job.directory) as source:
        source.rows("train", columns, given, role="train")

Datasets of one source that read the same columns, such as those of a learning curve, share all that comes before cuts
and limits. What is held meanwhile is what the next of them would read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from raybench.core import Column
from raybench.core.errors import DataError
from raybench.data.columns import Rows, canonical_rows, map_columns
from raybench.data.pieces import thin_rows
from raybench.data.raw_split import SplitReader
from raybench.data.sources import open_source
from raybench.job.spec import DatasetSpec

__all__ = ["OpenedSource", "SharedSources"]


class OpenedSource:
    """A source's splits, and those of their rows that were read; `in_part` where all who read it have limits."""

    def __init__(self, readers: Mapping[str, SplitReader], directory: Path, *, in_part: bool) -> None:
        self.readers = readers
        self._directory, self._in_part = directory, in_part
        self._rows: dict[object, Rows] = {}

    def rows(self, split: str, columns: tuple[Column, ...], given: Mapping[str, str], *, role: str) -> Rows:
        """A split's rows; DataError, with `role` as its place, for one that is empty."""
        key = split, columns, tuple(sorted(given.items()))
        if key not in self._rows:
            self._rows[key] = self._read(split, columns, given, role)
        return self._rows[key]

    def let_go(self) -> None:
        """Hold no rows any more."""
        self._rows.clear()

    def _read(self, split: str, columns: tuple[Column, ...], given: Mapping[str, str], role: str) -> Rows:
        if self._in_part and (thin := thin_rows(self.readers[split], columns, given, split, self._directory)):
            return thin
        mapping, raw = map_columns(self.readers[split], columns, given, split)
        if raw.table.num_rows == 0:
            raise DataError(f"split {split!r} is empty", key=("splits", role))
        return canonical_rows(raw.table, mapping, columns, split, self._directory)


class SharedSources:
    """The sources of these datasets, each of which is opened or passed over once."""

    def __init__(self, specs: Iterable[DatasetSpec] = ()) -> None:
        self._left: Counter[str] = Counter()
        self._wholly: set[str] = set()
        self._opened: dict[str, OpenedSource] = {}
        for spec in specs:
            self.expect(spec)

    def expect(self, spec: DatasetSpec) -> None:
        """The dataset will be opened or passed over, too."""
        self._left[_key(spec)] += 1
        if not _is_limited(spec):
            self._wholly.add(_key(spec))

    @contextmanager
    def opened(self, spec: DatasetSpec, directory: Path) -> Iterator[OpenedSource]:
        """The dataset's source, for as long as it reads."""
        key = _key(spec)
        if key not in self._opened:
            in_part = key not in self._wholly
            self._opened[key] = OpenedSource(open_source(spec, directory), directory, in_part=in_part)
        try:
            yield self._opened[key]
        finally:
            self.pass_over(spec)

    def pass_over(self, spec: DatasetSpec) -> None:
        """The dataset reads nothing any more."""
        key = _key(spec)
        self._left[key] -= 1
        if self._left[key] <= 0 and key in self._opened:
            self._opened.pop(key).let_go()

    def let_go(self) -> None:
        """Nothing is held any more for those that have not been opened; who opens one now reads alone."""
        self._left.clear()
        while self._opened:
            self._opened.popitem()[1].let_go()


def _is_limited(spec: DatasetSpec) -> bool:
    """Whether it wants a part of each split."""
    limits = [spec.limit.train, spec.limit.test, *([spec.limit.validation] if spec.splits.validation else [])]
    return None not in limits


def _key(spec: DatasetSpec) -> str:
    return repr((spec.source, spec.config, spec.revision, spec.data_files))
