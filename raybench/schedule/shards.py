"""Cutting what remains of a batch plan into shards: whole batches, the same whatever the number of actors."""

from __future__ import annotations

from collections.abc import Iterable

from raybench.core import Shard

__all__ = ["remaining_shards"]


def remaining_shards(
    trial_id: str, num_batches: int, scored: Iterable[tuple[int, int]], shard_batches: int
) -> tuple[Shard, ...]:
    """Shards of at most `shard_batches` batches that cover [0, num_batches) less the ranges already scored.

    A range that reaches beyond the plan is of another plan and counts for nothing. Cuts fall on multiples of
    `shard_batches`, so a resumed trial with the same size gets the same shards.
    """
    shards = []
    position = 0
    within = [(start, stop) for start, stop in scored if stop <= num_batches]
    for start, stop in [*sorted(within), (num_batches, num_batches)]:
        while position < start:
            end = min(start, (position // shard_batches + 1) * shard_batches)
            shards.append(Shard(trial_id=trial_id, start=position, stop=end))
            position = end
        position = max(position, stop)
    return tuple(shards)
