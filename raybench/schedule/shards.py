"""Cutting work: what remains to score into shards, the same for any number of actors; features and heads into parts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from raybench.core import Shard
from raybench.schedule.work import Features

__all__ = ["AHEAD_SECONDS", "feature_parts", "head_parts", "remaining_shards", "shards_ahead"]

AHEAD_SECONDS = 0.1  # of work that an actor holds while the driver turns round
_MAX_AHEAD = 64

_MOST_SHARDS = 1024  # of a trial: each leaves a file of records, and millions of rows would leave thousands
_PARTS_AN_ACTOR = 4  # so that the last part is short beside the whole
_MAX_BATCHES = 64  # a part that is lost with its actor is not much
_HEADS = 8  # fitted in one batched product: fewer take as long
_MAX_HEADS = 64


def remaining_shards(
    trial_id: str,
    num_batches: int,
    scored: Iterable[tuple[int, int]],
    shard_batches: int,
    rounds: Iterable[int] = (),
) -> tuple[Shard, ...]:
    """Shards of `shard_batches` batches, or of a 1,024th of all, that cover [0, num_batches) less what is scored.

    None reaches over the end of a round; `rounds` are the batches with which they end.

    A range that reaches beyond the plan is of another plan and counts for nothing. Cuts fall on multiples of a shard's
    size, so a resumed trial with the same size gets the same shards.
    """
    shards = []
    shard_batches = max(shard_batches, -(-num_batches // _MOST_SHARDS))
    position = 0
    within = [(start, stop) for start, stop in scored if stop <= num_batches]
    ends = sorted(rounds)
    for start, stop in [*sorted(within), (num_batches, num_batches)]:
        while position < start:
            end = min(start, (position // shard_batches + 1) * shard_batches)
            end = min([end, *ends[bisect_right(ends, position) :][:1]])
            shards.append(Shard(trial_id=trial_id, start=position, stop=end))
            position = end
        position = max(position, stop)
    return tuple(shards)


def feature_parts(group: str, num_batches: int, num_actors: int) -> tuple[Features, ...]:
    """Parts of a group of features that cover [0, num_batches), for any actor to compute."""
    size = max(1, min(_MAX_BATCHES, -(-num_batches // (_PARTS_AN_ACTOR * num_actors))))
    starts = range(0, num_batches, size)
    return tuple(Features(group=group, start=at, stop=min(at + size, num_batches)) for at in starts)


def head_parts(trial_ids: Sequence[str], num_actors: int) -> list[tuple[str, ...]]:
    """Heads on the same features, which every actor has, in parts of whole batched products for any actor to fit."""
    share = -(-len(trial_ids) // (_PARTS_AN_ACTOR * num_actors))
    size = min(_MAX_HEADS, -(-share // _HEADS) * _HEADS)
    return [tuple(trial_ids[at : at + size]) for at in range(0, len(trial_ids), size)]


def shards_ahead(shard_seconds: float) -> int:
    """How many shards to give an actor ahead: what it does while the driver turns round, at least one."""
    return max(1, min(_MAX_AHEAD, int(AHEAD_SECONDS / max(shard_seconds, 1e-9))))
