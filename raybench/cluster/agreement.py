"""Whether a process of another node is part of the same run: the same raybench, the same libraries, the same store.

    with announced(store, run_id) as agreement:      # the driver
        ...
    check_agreement(agreement, Files(url))           # an actor, before it does anything

A node where this does not hold is told in one line; it takes no part.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import raybench
from raybench.core.errors import RaybenchError, StoreError, summary
from raybench.core.identity import bytes_hash
from raybench.store.files import Files
from raybench.store.provenance import library_releases
from raybench.store.runs import RunDirectory

__all__ = ["Agreement", "announced", "check_agreement", "source_digest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the driver runs, and where in its store it has written what."""

    source: str
    releases: Mapping[str, str]
    path: str
    nonce: str


@contextmanager
def announced(run: RunDirectory) -> Iterator[Agreement]:
    """Write a word into the store that no other driver has written, and remove it in the end."""
    nonce = uuid.uuid4().hex
    path = run.path(f"driver-{nonce}")
    run.files.write(path, nonce.encode())
    try:
        yield Agreement(source=source_digest(), releases=library_releases(), path=path, nonce=nonce)
    finally:
        with suppress(Exception):  # the run's own end is what counts
            run.files.remove(path)


def check_agreement(agreement: Agreement, files: Files) -> None:
    """Raise a RaybenchError that names this node unless it runs the driver's raybench and sees its store."""
    node = socket.gethostname()
    releases = library_releases()
    for name, release in agreement.releases.items():
        if releases[name] != release:
            raise RaybenchError(
                f"node {node} has {name} {releases[name]}, the driver {release}; install the same on both"
            )
    if source_digest() != agreement.source:
        raise RaybenchError(
            f"node {node} runs another raybench than the driver ({Path(raybench.__file__).parent}); install the same "
            "on both, or let `raybench submit` carry it"
        )
    try:
        seen = files.read(agreement.path).decode()
    except FileNotFoundError:
        seen = ""
    except Exception as error:  # of whatever file system the URL names
        raise StoreError(f"store {files.url}: cannot be read on node {node}: {summary(error)}") from error
    if seen != agreement.nonce:
        raise StoreError(
            f"store {files.url}: node {node} does not see what the driver wrote there; want a URL such as "
            "s3://bucket/prefix or a path that all nodes share"
        )


@cache
def source_digest() -> str:
    """The hash of this raybench's source: it may be another one of the same version."""
    root = Path(raybench.__file__).parent
    files = sorted((str(path.relative_to(root)), path) for path in root.rglob("*.py"))
    return bytes_hash(piece for name, path in files for piece in (name.encode(), path.read_bytes()))
