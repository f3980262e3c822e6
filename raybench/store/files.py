"""Files of a store over fsspec: whole files appear at once or not at all, and faults that pass are outlived.

files = Files("s3://bucket/prefix")
files.write("trials/part-1.parquet", data)
files.find("trials", ".parquet")

Every read and write goes through `core.blips.persist`; what is still wrong then is a `StoreError` in one line.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import fsspec

from raybench.core.blips import TRIES, is_full, persist
from raybench.core.errors import StoreError, StoreFullError, summary
from raybench.store.disk import list_files, list_folders, write_atomically

__all__ = ["Entry", "Files"]

T = TypeVar("T")

_TRIES_AT_START = 3  # whoever waits for a command to begin would rather be told


class Entry(NamedTuple):
    """A file of a store: its path, its bytes, and when it was written, in seconds of the store's own clock."""

    path: str
    size: int
    modified: float


class Files:
    """A directory or bucket prefix; paths are relative to it and use forward slashes."""

    def __init__(self, url: str, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.url = url
        self._pause = pause
        try:
            self._fs, self._root = fsspec.core.url_to_fs(os.path.expanduser(url))
        except Exception as error:  # of whatever file system the URL names
            raise StoreError(f"store {url}: cannot be opened: {summary(error)}") from error
        self._local = "file" in (self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,))

    def check_readable(self) -> None:
        """Raise StoreError in one line unless this is a folder, or a bucket that answers; it need not be there yet."""
        try:
            entries = persist(lambda: self._fs.ls(self._root, detail=True), self._pause, most_tries=_TRIES_AT_START)
        except FileNotFoundError:
            return
        except Exception as error:  # of whatever file system the URL names
            raise StoreError(f"store {self.url}: cannot be read: {summary(error)}") from error
        if any(entry["name"] == self._root and entry["type"] != "directory" for entry in entries):
            raise StoreError(f"store {self.url}: is a file; name a directory or a bucket")

    def check_writable(self) -> None:
        """Raise StoreError in one line unless a file can be written and removed here."""
        probe = self.path(f".probe-{uuid.uuid4().hex}.tmp")
        try:
            persist(lambda: self._put(probe, b""), self._pause, most_tries=_TRIES_AT_START)
            persist(lambda: self._fs.rm(probe), self._pause, most_tries=_TRIES_AT_START)
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise StoreError(f"store {self.url}: cannot be written ({reason}); name another with `store:`") from error

    def path(self, relative: str) -> str:
        """The whole path of a file in the file system's own form."""
        return f"{self._root.rstrip('/')}/{relative}"

    @property
    def is_local(self) -> bool:
        """Whether it is a directory that this machine sees as its own."""
        return self._local

    @property
    def absolute_url(self) -> str:
        """The store's URL for a process in another directory."""
        return self._root if self._local else self.url

    def write(self, relative: str, data: bytes, *, most_tries: int = TRIES) -> None:
        """Write a whole file: under a temporary name and renamed, or the object store's atomic put.

        Raises:
            StoreFullError: no room is left, also after a few seconds. StoreError: it cannot be written.
        """
        try:
            self._do("written", relative, lambda: self._put(self.path(relative), data), most_tries)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:  # no such bucket, a file above it
            raise StoreError(f"store {self.url}: {relative} cannot be written: {summary(error)}") from error

    def read(self, relative: str, start: int | None = None, stop: int | None = None) -> bytes:
        """A file's bytes, or those of a range that it has (a negative start counts from the end, as far as there is).

        Raises:
            FileNotFoundError: there is no file. StoreError: it cannot be read.
        """
        return self._do("read", relative, lambda: self._fs.cat_file(self.path(relative), start=start, end=stop))

    def size(self, relative: str) -> int:
        """A file's length in bytes; FileNotFoundError when there is no file."""
        return self._do("read", relative, lambda: self._fresh().size(self.path(relative)))

    def modified(self, relative: str) -> float:
        """When a file was written, in seconds of the store's clock; FileNotFoundError when there is no file."""
        return self._do("read", relative, lambda: self._fresh().modified(self.path(relative)).timestamp())

    def exists(self, relative: str) -> bool:
        """Whether a file or folder is there, asked of the store and not of a cached listing."""
        return self._do("read", relative, lambda: self._fresh().exists(self.path(relative)))

    def remove(self, relative: str) -> None:
        """Remove a file or a folder; nothing there is no error."""
        try:
            self._do("removed", relative, lambda: self._fs.rm(self.path(relative), recursive=True))
        except FileNotFoundError:
            return

    def find(self, folder: str, suffix: str) -> list[str]:
        """Relative paths below a folder that end so, sorted; unfinished files (a leading dot) left out."""
        found = self._do("read", folder, lambda: self._found(folder))
        prefix = len(self._root.rstrip("/")) + 1
        return sorted(
            path[prefix:] for path in found if path.endswith(suffix) and not path.rsplit("/", 1)[-1].startswith(".")
        )

    def entries(self, folder: str = "") -> list[Entry]:
        """Every file of the store or below a folder, unfinished ones too, by path."""
        return sorted(self._do("read", folder, lambda: self._all_entries(folder)))

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly below a folder, sorted."""
        return sorted(self._do("read", folder, lambda: self._folders(folder)))

    def _do(self, doing: str, relative: str, call: Callable[[], T], most_tries: int = TRIES) -> T:
        try:
            return persist(call, self._pause, most_tries=most_tries)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise
        except Exception as error:  # of whatever file system the URL names
            if is_full(error):
                reason = getattr(error, "strerror", None) or summary(error)
                raise StoreFullError(
                    f"store {self.url}: is full ({reason}); make room there "
                    "and run the same command again: what is committed is kept"
                ) from error
            raise StoreError(f"store {self.url}: {relative or 'it'} cannot be {doing}: {summary(error)}") from error

    def _put(self, path: str, data: bytes) -> None:
        if self._local:
            write_atomically(path, data)
        else:
            self._fs.pipe_file(path, data)

    def _fresh(self) -> fsspec.AbstractFileSystem:
        self._fs.invalidate_cache()
        return self._fs

    def _found(self, folder: str) -> list[str]:
        path = self.path(folder)
        return list(list_files(path.rstrip("/"))) if self._local else self._fresh().find(path)

    def _folders(self, folder: str) -> list[str]:
        if self._local:
            return list_folders(self.path(folder))
        try:
            entries = self._fresh().ls(self.path(folder), detail=True)
        except FileNotFoundError:
            return []
        return [entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries if entry["type"] == "directory"]

    def _all_entries(self, folder: str) -> list[Entry]:
        prefix = len(self._root.rstrip("/")) + 1
        if not self._local:
            found = self._fresh().find(self.path(folder).rstrip("/"), detail=True).items()
            return [Entry(path[prefix:], entry["size"], self._written_at(path, entry)) for path, entry in found]
        entries = []
        for path in self._found(folder):
            with suppress(FileNotFoundError):  # gone since it was listed
                stat = os.stat(path)
                entries.append(Entry(path[prefix:], stat.st_size, stat.st_mtime))
        return entries

    def _written_at(self, path: str, entry: dict[str, Any]) -> float:
        """S3 says it in a listing, others when asked."""
        return (entry.get("LastModified") or self._fs.modified(path)).timestamp()
