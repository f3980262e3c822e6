"""Splits whose sizes are known and whose rows are read when somebody asks for them: once, whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import Lock

import pyarrow as pa

__all__ = ["LaterSplits", "with_test"]


class LaterSplits(Mapping[str, pa.Table]):
    """By name; `read` gives them all, and what it raises comes to whoever asked."""

    def __init__(self, num_rows: Mapping[str, int], read: Callable[[], Mapping[str, pa.Table]]) -> None:
        self.num_rows = dict(num_rows)
        self._read = read
        self._rows: Mapping[str, pa.Table] | None = None
        self._reading = Lock()

    def __getitem__(self, name: str) -> pa.Table:
        if name not in self.num_rows:
            raise KeyError(name)
        with self._reading:
            if self._rows is None:
                self._rows = self._read()
            return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.num_rows)

    def __len__(self) -> int:
        return len(self.num_rows)

    def __contains__(self, name: object) -> bool:
        return name in self.num_rows


def with_test(splits: Mapping[str, pa.Table], role: str) -> Mapping[str, pa.Table]:
    """The same splits, those of `role` in the place of the test rows; what is read later stays so."""
    if isinstance(splits, LaterSplits):
        return LaterSplits({**splits.num_rows, "test": splits.num_rows[role]}, lambda: {**splits, "test": splits[role]})
    return {**splits, "test": splits[role]}
