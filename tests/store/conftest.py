"""A file system in memory that fails when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from raybench.store.files import Files


class FaultyFileSystem(MemoryFileSystem):
    """`faulty://`: every call is counted and may raise what `fault` returns for its number and name."""

    protocol = "faulty"
    store: dict = {}  # noqa: RUF012 -- as its parent has it: one for all instances
    pseudo_dirs = [""]  # noqa: RUF012
    fault: Callable[[int, str], Exception | None] = staticmethod(lambda number, name: None)
    num_calls = 0

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("faulty://", "memory://"))

    def _call(self, name):
        number = FaultyFileSystem.num_calls
        FaultyFileSystem.num_calls += 1
        error = FaultyFileSystem.fault(number, name)
        if error is not None:
            raise error

    def pipe_file(self, path, value, **options):
        self._call("pipe_file")
        return super().pipe_file(path, value, **options)

    def cat_file(self, path, start=None, end=None, **options):
        self._call("cat_file")
        return super().cat_file(path, start, end, **options)

    def rm(self, path, **options):
        self._call("rm")
        return super().rm(path, **options)

    def find(self, path, **options):
        self._call("find")
        return super().find(path, **options)


@pytest.fixture
def faulty() -> Iterator[Callable[..., Files]]:
    """Files whose n-th call raises what a function says of n; what is waited for is written to a list."""
    fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)

    def make(fault: Callable[[int, str], Exception | None], waits: list[float] | None = None) -> Files:
        FaultyFileSystem.fault, FaultyFileSystem.num_calls = staticmethod(fault), 0
        return Files("faulty://store", pause=(waits if waits is not None else []).append)

    yield make
    FaultyFileSystem.fault = staticmethod(lambda number, name: None)
    FaultyFileSystem.store.clear()
