"""Identity by content: equal content, equal hash, on every machine and in every year.

    content_hash({"learning_rate": 0.1})        # 32 hex characters
    file_hash("model.safetensors")

Does not use Python's `hash` (seeded per process) or pickle (depends on versions).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = [
    "RESULT_VERSION",
    "VERSION",
    "bytes_hash",
    "canonical_json",
    "content_hash",
    "file_hash",
    "hash_object",
    "seed_from",
    "seeded_digest",
]

VERSION = "0.1.0"  # of raybench

# Raised whenever a change of raybench changes a trial's numbers: results of older code are then new work.
RESULT_VERSION = 8

_DIGEST_BYTES = 16


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; floats print with Python's shortest round-trip form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=True)


def content_hash(value: Any) -> str:
    """The hash of a JSON-like value, as 32 hex characters."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=_DIGEST_BYTES).hexdigest()


def bytes_hash(pieces: Iterable[bytes], framed: Iterable[memoryview] = ()) -> str:
    """The hash of byte strings one after the other, each with its length, as 32 hex characters.

    What is `framed` comes after them and holds its lengths already (`column_hashes.framed`).
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    for several in framed:
        digest.update(several)
    return digest.hexdigest()


def hash_object() -> hashlib.blake2b:
    """What makes the hash of bytes that come one after the other, as of one file."""
    return hashlib.blake2b(digest_size=_DIGEST_BYTES)


def file_hash(path: str | Path) -> str:
    """The hash of a file's bytes, as 32 hex characters."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, hash_object).hexdigest()


def seed_from(*parts: str | int) -> int:
    """A 63-bit seed that depends on its parts alone, never on a shared stream, a rank or an order."""
    return int(content_hash(list(parts))[:16], 16) >> 1


def seeded_digest(seed: int, name: str, size: int = _DIGEST_BYTES) -> bytes:
    """`size` bytes drawn by a seed and a row's id: its place in an order, or the seed of its own draws."""
    return hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=size).digest()
