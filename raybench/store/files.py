"""Files of a store over fsspec: whole files appear at once or not at all; what cannot be trusted is named and skipped.

files = Files("s3://bucket/prefix")
files.write("trials/part-1.parquet", data)
files.find("trials", ".parquet")
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from raybench.core.errors import StoreError, told

__all__ = ["Files", "Skipped", "parquet_bytes"]

SCHEMA_KEY = b"raybench.schema"
_THREADS = 16  # reads of many small files wait on the disk or the network, not on the processor

Skipped = Callable[[str, str], None]  # called with a file's path and why it was not used


class Files:
    """A directory or bucket prefix; paths are relative to it and use forward slashes."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._fs, self._root = fsspec.core.url_to_fs(os.path.expanduser(url))
        except Exception as error:  # of whatever file system the URL names
            raise StoreError(f"store {url}: cannot be opened: {told(error)}") from error
        self._local = "file" in (self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,))

    def check_readable(self) -> None:
        """Raise StoreError in one line unless this is a folder, or a bucket that answers; it need not be there yet."""
        try:
            entries = self._fs.ls(self._root, detail=True)
        except FileNotFoundError:
            return
        except Exception as error:  # of whatever file system the URL names
            raise StoreError(f"store {self.url}: cannot be read: {told(error)}") from error
        if any(entry["name"] == self._root and entry["type"] != "directory" for entry in entries):
            raise StoreError(f"store {self.url}: is a file; name a directory or a bucket")

    def path(self, relative: str) -> str:
        """The whole path of a file in the file system's own form."""
        return f"{self._root.rstrip('/')}/{relative}"

    @property
    def absolute_url(self) -> str:
        """The store's URL for a process in another directory."""
        return self._root if self._local else self.url

    def check_writable(self) -> None:
        """Raise StoreError in one line unless a file can be written and removed here."""
        probe = f".probe-{uuid.uuid4().hex}"
        try:
            self.write(probe, b"")
            self.remove(probe)
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise StoreError(f"store {self.url}: cannot be written ({reason}); name another with `store:`") from error

    def write(self, relative: str, data: bytes) -> None:
        """Write a whole file: under a temporary name and renamed, or the object store's atomic put."""
        path = self.path(relative)
        if not self._local:
            self._fs.pipe_file(path, data)
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = os.path.join(os.path.dirname(path), f".{uuid.uuid4().hex}.tmp")
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)

    def read(self, relative: str, start: int | None = None, stop: int | None = None) -> bytes:
        """A file's bytes, or those of a range; FileNotFoundError when there is no file."""
        return self._fs.cat_file(self.path(relative), start=start, end=stop)

    def size(self, relative: str) -> int:
        """A file's length in bytes."""
        return self._fs.size(self.path(relative))

    def exists(self, relative: str) -> bool:
        """Whether a file or folder is there, asked of the store and not of a cached listing."""
        self._fs.invalidate_cache()
        return self._fs.exists(self.path(relative))

    def remove(self, relative: str) -> None:
        """Remove a file or a folder; nothing there is no error."""
        try:
            self._fs.rm(self.path(relative), recursive=True)
        except FileNotFoundError:
            return

    def find(self, folder: str, suffix: str) -> list[str]:
        """Relative paths below a folder that end so, sorted; unfinished files (a leading dot) left out."""
        self._fs.invalidate_cache()
        found = self._fs.find(self.path(folder))
        prefix = len(self._root.rstrip("/")) + 1
        return sorted(
            path[prefix:] for path in found if path.endswith(suffix) and not path.rsplit("/", 1)[-1].startswith(".")
        )

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly below a folder, sorted."""
        self._fs.invalidate_cache()
        try:
            entries = self._fs.ls(self.path(folder), detail=True)
        except FileNotFoundError:
            return []
        return sorted(entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries if entry["type"] == "directory")

    def read_tables(
        self, paths: list[str], kind: str, skipped: Skipped, columns: list[str] | None = None
    ) -> Iterator[tuple[str, pa.Table]]:
        """Each path's table in the order given; a torn or foreign file is reported and left out."""

        def load(path: str) -> tuple[str, pa.Table | None, str]:
            try:
                table = pq.read_table(pa.BufferReader(self.read(path)), columns=columns)
            except FileNotFoundError:
                return path, None, ""  # compacted away between the listing and the reading
            except (pa.ArrowException, OSError) as error:
                return path, None, f"torn or not Parquet ({str(error).splitlines()[0]})"
            found = (table.schema.metadata or {}).get(SCHEMA_KEY, b"").decode(errors="replace")
            if found.split("/")[0] != kind:
                return path, None, f"not a {kind} file of raybench"
            return path, table, ""

        with ThreadPoolExecutor(_THREADS) as pool:
            loaded = pool.map(load, paths) if len(paths) > 1 else map(load, paths)
            for path, table, reason in loaded:
                if table is not None:
                    yield path, table
                elif reason:
                    skipped(path, reason)


def parquet_bytes(table: pa.Table, kind: str, version: int, metadata: dict[str, Any] | None = None) -> bytes:
    """A table as Parquet that carries its kind and schema version."""
    merged = {**(table.schema.metadata or {}), SCHEMA_KEY: f"{kind}/{version}".encode(), **(metadata or {})}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(merged), sink, compression="zstd")
    return sink.getvalue().to_pybytes()
