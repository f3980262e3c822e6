"""Few shots: training rows that a prompt shows, drawn by their ids, so that every candidate sees the same."""

from __future__ import annotations

import hashlib

import pyarrow as pa

__all__ = ["draw_shots", "shots_for"]


def draw_shots(train: pa.Table, count: int, seed: int) -> pa.Table:
    """`count` rows and one to spare, in the order of a hash of (seed, id): 3 shots lie within 5."""
    ids = train.column("id").to_pylist()
    order = sorted(range(len(ids)), key=lambda row: _draw(seed, ids[row]))
    return train.take(pa.array(order[: count + 1], pa.int64())) if count else train.slice(0, 0)


def shots_for(shots: list[str], ids: list[str], own: str, count: int) -> list[str]:
    """The first `count` shots, without the row itself where it is one of them."""
    return [shot for shot, name in zip(shots, ids, strict=True) if name != own][:count]


def _draw(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest()
