"""The batch plan: which rows are scored together and how far each batch is padded, fixed before anything starts.

    plan = plan_batches(lengths, keys=keys)
    rows = table.take(plan.order)
    plan = plan_in_rounds(lengths, [first_rows, the_rest], keys=keys)     # no batch reaches over a round
    for start, stop, padded in plan.batches(0, plan.num_batches): ...

A row is padded to its bucket, a function of its own length, so what a model makes of it does not depend on its
batch-mates. Does not know tokens, tensors or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

__all__ = ["BatchPlan", "BatchSlice", "batch_tokens", "bucket", "plan_batches", "plan_in_rounds"]

# padded tokens of a batch: a GPU of an H100's kind waits for its kernels to be started at 4,096, and computes at 32,768
_TOKENS = {"cpu": 4096, "cuda": 32768}
_TOKENS_A_ROW = 64  # on average at least: a batch has no more rows

# (up to this length, in steps of): 10 % padding for 5,000 WordNet glosses of 17.5 tokens on average, 4 % for paragraphs
# of 85; always whole fours, so that every row's slice of an attention matrix begins on a cache line
_STEPS = ((32, 4), (128, 8), (256, 16))
_LAST_STEP = 64


class BatchSlice(NamedTuple):
    """Rows [start, stop) in plan order, each padded to `padded`."""

    start: int
    stop: int
    padded: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchPlan:
    """`order` int32[rows], `offsets` int32[batches + 1] into it, `padded` int32[batches].

    `rounds` are the numbers of batches with which each round of rows ends, of a plan in rounds.
    """

    order: np.ndarray
    offsets: np.ndarray
    padded: np.ndarray
    rounds: tuple[int, ...] = ()

    @property
    def num_batches(self) -> int:
        return len(self.padded)

    def batches(self, start: int, stop: int) -> list[BatchSlice]:
        """Batches [start, stop) of the plan."""
        bounds, padded = self.offsets[start : stop + 1].tolist(), self.padded[start:stop].tolist()
        return [BatchSlice(*one) for one in zip(bounds, bounds[1:], padded, strict=False)]


def bucket(lengths: np.ndarray | int) -> np.ndarray:
    """The padded length of rows of these lengths (int32): multiples of 4 to 32, 8 to 128, 16 to 256, 64 above."""
    lengths = np.maximum(np.asarray(lengths, dtype=np.int32), 1)
    steps = np.full(lengths.shape, _LAST_STEP, dtype=np.int32)
    for limit, step in reversed(_STEPS):
        steps = np.where(lengths <= limit, np.int32(step), steps)
    return (lengths + steps - 1) // steps * steps


def batch_tokens(wanted: int | Literal["auto"], device: str) -> int:
    """Padded tokens of a batch on a kind of device, `cpu` or `cuda`, of which a plan is made before anything starts."""
    return _TOKENS[device] if wanted == "auto" else wanted


def plan_batches(
    lengths: np.ndarray,
    tokens: int = _TOKENS["cpu"],
    keys: np.ndarray | None = None,
    rows: np.ndarray | None = None,
) -> BatchPlan:
    """Batches of one bucket each, shortest first, at most `tokens` padded ones and a row for every 64 of them.

    `rows` is how many model rows each example makes (its windows or choices), where that is not one: they are never
    parted, so an example of more than a batch holds is a batch of its own.

    Within a bucket rows keep their order, or go by `keys` (any sortable array [N], or the words [N, W] of a hash of the
    input), which puts equal inputs beside each other so that they are forwarded once.
    """
    padded = bucket(lengths)
    if keys is None:
        order = np.argsort(padded, kind="stable")
    else:
        words = keys.T[::-1] if keys.ndim == 2 else [np.unique(keys, return_inverse=True)[1]]
        order = np.lexsort((*words, padded))
    sizes, counts = np.unique(padded, return_counts=True)
    starts: list[np.ndarray] = []
    lengths_of_batches: list[np.ndarray] = []
    first = 0
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        most = max(1, min(tokens // _TOKENS_A_ROW, tokens // size))
        if rows is None:
            batch_starts = np.arange(first, first + count, most, dtype=np.int32)
        else:
            batch_starts = first + _cuts(rows[order[first : first + count]], most)
        starts.append(batch_starts)
        lengths_of_batches.append(np.full(len(batch_starts), size, dtype=np.int32))
        first += count
    return BatchPlan(
        order=order.astype(np.int32),
        offsets=np.concatenate([*starts, np.array([first])]).astype(np.int32),
        padded=np.concatenate([np.zeros(0, dtype=np.int32), *lengths_of_batches]),
    )


def plan_in_rounds(
    lengths: np.ndarray,
    parts: Sequence[np.ndarray],
    *,
    tokens: int = _TOKENS["cpu"],
    keys: np.ndarray | None = None,
    rows: np.ndarray | None = None,
) -> BatchPlan:
    """The batches of some rows, then those of others, …: `parts` are row numbers, of which each is in one.

    A row is padded as in any other plan of it.
    """
    plans = [
        plan_batches(
            lengths[part],
            tokens,
            keys=None if keys is None else keys[part],
            rows=None if rows is None else rows[part],
        )
        for part in parts
    ]
    starts = np.cumsum([0, *(len(part) for part in parts)])
    return BatchPlan(
        order=np.concatenate([part[plan.order] for part, plan in zip(parts, plans, strict=True)]).astype(np.int32),
        offsets=np.concatenate(
            [*(start + plan.offsets[:-1] for start, plan in zip(starts, plans, strict=False)), starts[-1:]]
        ).astype(np.int32),
        padded=np.concatenate([plan.padded for plan in plans]),
        rounds=tuple(int(count) for count in np.cumsum([plan.num_batches for plan in plans])),
    )


def _cuts(rows: np.ndarray, most: int) -> np.ndarray:
    """Where batches of up to `most` model rows begin, int32; `rows` [examples]."""
    cuts, held = [0], 0
    for place, count in enumerate(rows.tolist()):
        if held and held + count > most:
            cuts.append(place)
            held = 0
        held += count
    return np.array(cuts, dtype=np.int32)
