"""Cutting shards out of what remains."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raybench.schedule.shards import head_parts, remaining_shards


@given(num_batches=st.integers(0, 60), size=st.integers(1, 9), done=st.sets(st.integers(0, 59)))
def test_shards_cover_exactly_what_remains(num_batches, size, done):
    scored = [(batch, batch + 1) for batch in sorted(done)]  # also of a plan that was longer
    shards = remaining_shards("t", num_batches, scored, size)
    covered = [batch for shard in shards for batch in range(shard.start, shard.stop)]
    assert covered == [batch for batch in range(num_batches) if batch not in done]
    assert all(0 < shard.num_batches <= size for shard in shards)


@given(
    num_batches=st.integers(0, 30),
    ranges=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10)), max_size=5),
    size=st.integers(1, 9),
)
def test_what_ranges_that_overlap_hold_is_not_scored_again(num_batches, ranges, size):
    scored = [(start, min(start + length, num_batches)) for start, length in ranges if start < num_batches]
    shards = remaining_shards("t", num_batches, scored, size)
    covered = [batch for shard in shards for batch in range(shard.start, shard.stop)]
    assert covered == sorted(set(range(num_batches)).difference(*(range(*one) for one in scored)))


@given(num_batches=st.integers(0, 30), start=st.integers(0, 40), length=st.integers(1, 20), size=st.integers(1, 9))
def test_a_range_that_reaches_beyond_the_plan_counts_for_nothing(num_batches, start, length, size):
    shards = remaining_shards("t", num_batches, [(start, start + length)], size)
    if start + length > num_batches:
        assert shards == remaining_shards("t", num_batches, [], size)
    assert all(shard.stop <= num_batches for shard in shards)


@given(num_batches=st.integers(1, 60), size=st.integers(1, 9), keep=st.integers(0, 60))
def test_a_resumed_trial_has_the_shards_it_had(num_batches, size, keep):
    whole = remaining_shards("t", num_batches, [], size)
    scored = [(shard.start, shard.stop) for shard in whole[:keep]]
    assert remaining_shards("t", num_batches, scored, size) == whole[keep:]


@given(num_batches=st.integers(1025, 200_000), size=st.integers(1, 9))
def test_a_trial_of_many_batches_has_larger_shards_and_not_more_of_them(num_batches, size):
    shards = remaining_shards("t", num_batches, [], size)
    assert len(shards) <= 1024
    assert {shard.num_batches for shard in shards[:-1]} == {max(size, -(-num_batches // 1024))}
    assert remaining_shards("t", num_batches, [(0, shards[0].stop)], size) == shards[1:]


@given(num_trials=st.integers(1, 400), num_actors=st.integers(1, 20))
def test_heads_are_fitted_once_in_parts_that_occupy_the_actors_and_fill_batched_products(num_trials, num_actors):
    trial_ids = [f"t{number}" for number in range(num_trials)]
    parts = head_parts(trial_ids, num_actors)
    assert [trial_id for part in parts for trial_id in part] == trial_ids
    assert all(len(part) % 8 == 0 for part in parts[:-1])
    assert max(map(len, parts)) <= min(64, num_trials)
    assert len(parts) >= min(num_actors, -(-num_trials // 8))
