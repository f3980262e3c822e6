"""Which rows make a training step, and in which pieces they are forwarded.

The order depends on (seed, data fingerprint, epoch) alone. A step's rows are a random draw; within the step rows
of like length are forwarded together, so little is padded and the gradient is the same sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from raybench.core.identity import seed_from
from raybench.data.batches import bucket
from raybench.tasks.task import Examples

__all__ = ["MicroBatch", "epoch_steps", "in_epoch", "micro_batches", "model_rows"]


class MicroBatch(NamedTuple):
    """Rows forwarded together, each padded to `padded`."""

    rows: np.ndarray
    padded: int


def epoch_steps(num_rows: int, batch_size: int, *, seed: int, data: str, epoch: int) -> list[np.ndarray]:
    """Row indices of each step of an epoch; the last step may be smaller."""
    order = np.random.default_rng(seed_from("order", seed, data, epoch)).permutation(num_rows)
    return [order[start : start + batch_size] for start in range(0, num_rows, batch_size)]


def model_rows(examples: Examples) -> np.ndarray | None:
    """How many model rows each example makes, int32 [N]; None where it is one each."""
    rows: np.ndarray | None = getattr(examples, "rows", None)
    return rows


def in_epoch(examples: Examples, seed: int, epoch: int) -> Examples:
    """Examples as an epoch of training sees them; most are seen as they are."""
    seen = getattr(examples, "in_epoch", None)
    return examples if seen is None else seen(seed, epoch)


def micro_batches(
    rows: np.ndarray, lengths: np.ndarray, token_budget: int, max_waste: int, counts: np.ndarray | None = None
) -> list[MicroBatch]:
    """A step's rows, longest first, cut where the budget of padded tokens is full or padding costs more than a cut.

    `max_waste` is the padding a piece may hold before its shorter rows go on their own; a row longer than the budget
    goes alone. `counts` is how many model rows each example makes, where that is not one.
    """
    padded = bucket(lengths[rows])
    order = np.argsort(-padded, kind="stable")
    rows, sizes = rows[order], padded[order].tolist()
    many = [1] * len(sizes) if counts is None else counts[rows].tolist()
    pieces: list[MicroBatch] = []
    start, waste, held = 0, 0, 0
    for stop, (size, count) in enumerate(zip(sizes, many, strict=True)):
        longest = sizes[start]
        added = (longest - size) * count
        if stop > start and ((held + count) * longest > token_budget or waste + added > max_waste):
            pieces.append(MicroBatch(rows[start:stop], longest))
            start, waste, held, added = stop, 0, 0, 0
        waste += added
        held += count
    return [*pieces, MicroBatch(rows[start:], sizes[start])]
