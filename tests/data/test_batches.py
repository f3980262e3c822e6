"""The batch plan."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raybench.data.batches import batch_tokens, bucket, plan_batches

lengths_lists = st.lists(st.integers(1, 600), max_size=200)


def test_buckets_are_the_documented_steps() -> None:
    assert bucket(np.array([1, 4, 5, 32, 33, 65, 128, 129, 256, 257, 321])).tolist() == [
        4, 4, 8, 32, 40, 72, 128, 144, 256, 320, 384,
    ]  # fmt: skip


@given(lengths_lists)
def test_every_row_is_in_exactly_one_batch_and_padded_to_its_own_bucket(lengths: list[int]) -> None:
    plan = plan_batches(np.array(lengths, dtype=np.int32), tokens=1024)
    assert sorted(plan.order.tolist()) == list(range(len(lengths)))
    covered = 0
    for start, stop, padded in plan.batches(0, plan.num_batches):
        assert start == covered
        assert 1 <= stop - start <= 16
        assert (stop - start) * padded <= max(1024, padded)
        assert all(bucket(lengths[row]) == padded for row in plan.order[start:stop])
        covered = stop
    assert covered == len(lengths)


@given(lengths_lists, st.randoms(use_true_random=False))
def test_with_keys_the_plan_does_not_depend_on_the_order_of_rows(lengths: list[int], random: object) -> None:
    lengths_N, keys_N = np.array(lengths, dtype=np.int32), np.arange(len(lengths))
    shuffle = np.random.default_rng(len(lengths)).permutation(len(lengths))
    plan = plan_batches(lengths_N, keys=keys_N)
    other = plan_batches(lengths_N[shuffle], keys=keys_N[shuffle])
    assert keys_N[plan.order].tolist() == keys_N[shuffle][other.order].tolist()
    assert plan.offsets.tolist() == other.offsets.tolist()


def test_equal_inputs_lie_beside_each_other() -> None:
    keys = np.array([b"b" * 16, b"a" * 16, b"b" * 16, b"a" * 16], dtype="V16")
    plan = plan_batches(np.full(4, 5, dtype=np.int32), keys=keys)
    assert plan.order.tolist() == [1, 3, 0, 2]


def test_a_gpu_is_given_more_at_once_and_a_job_may_say_how_much() -> None:
    lengths = np.full(2000, 60, dtype=np.int32)
    sizes = {device: plan_batches(lengths, batch_tokens("auto", device)).offsets[1] for device in ("cpu", "cuda")}
    assert sizes == {"cpu": 64, "cuda": 512}
    assert plan_batches(lengths, batch_tokens(640, "cuda")).offsets[1] == 10
