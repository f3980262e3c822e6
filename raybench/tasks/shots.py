"""Few shots: training rows that a prompt shows, drawn by their ids, so that every candidate sees the same.

A task has the options and, beside a dataset's training rows (`Task.beside`), the rows themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pydantic import Field

from raybench.core.errors import DataError
from raybench.core.identity import seeded_digest
from raybench.tasks.task import TaskOptions

__all__ = ["ShotOptions", "draw_shots", "shots_for", "shots_from"]


class ShotOptions(TaskOptions):
    """Training rows that are shown before a row."""

    shots: int = Field(
        default=0,
        ge=0,
        description="training rows shown before a row, drawn by (shot_seed, id), the same for every model",
    )
    separator: str = Field(default="\n\n", description="behind each")
    shot_seed: int = Field(default=0, description="draws other ones")

    def check_shots(self, splits: Mapping[str, pa.Table]) -> None:
        """DataError where there is nothing to draw them from."""
        if self.shots and "train" not in splits:
            raise DataError(f"{self.shots} shots are drawn from a train split, and there is none")


def shots_from(train: pa.Table | None, options: ShotOptions) -> pa.Table | None:
    """The rows to show; None where none are."""
    return draw_shots(train, options.shots, options.shot_seed) if options.shots and train is not None else None


def draw_shots(train: pa.Table, count: int, seed: int) -> pa.Table:
    """`count` rows and one to spare, in the order of a hash of (seed, id): 3 shots lie within 5."""
    ids = train.column("id").to_pylist()
    order = sorted(range(len(ids)), key=lambda row: seeded_digest(seed, ids[row]))
    return train.take(pa.array(order[: count + 1], pa.int64())) if count else train.slice(0, 0)


def shots_for(shots: list[str], ids: list[str], own: str, count: int) -> list[str]:
    """The first `count` shots, without the row itself where it is one of them."""
    return [shot for shot, name in zip(shots, ids, strict=True) if name != own][:count]
