"""The order of training rows, their micro-batches, the learning rate's course."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raybench.data.batches import bucket
from raybench.recipes.methods.learning_rate import rate_factor
from raybench.runtime.training.order import epoch_steps, micro_batches


def test_an_epoch_is_every_row_once_in_an_order_of_seed_data_and_epoch_alone() -> None:
    steps = epoch_steps(50, 16, seed=3, data="rows", epoch=1)
    assert [len(step) for step in steps] == [16, 16, 16, 2]
    assert sorted(np.concatenate(steps).tolist()) == list(range(50))
    again = epoch_steps(50, 16, seed=3, data="rows", epoch=1)
    assert all(np.array_equal(a, b) for a, b in zip(steps, again, strict=True))
    for other in ({"seed": 4}, {"data": "others"}, {"epoch": 2}):
        changed = epoch_steps(50, 16, **{"seed": 3, "data": "rows", "epoch": 1, **other})  # type: ignore[arg-type]
        assert not np.array_equal(steps[0], changed[0])


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(8, 2000), st.integers(0, 500))
def test_micro_batches_hold_every_row_once_within_the_budget_and_the_waste(
    lengths: list[int], budget: int, waste: int
) -> None:
    lengths_N = np.array(lengths, dtype=np.int32)
    rows = np.random.default_rng(0).permutation(len(lengths))
    pieces = micro_batches(rows, lengths_N, budget, waste)
    assert sorted(np.concatenate([piece.rows for piece in pieces]).tolist()) == list(range(len(lengths)))
    for piece in pieces:
        own = bucket(lengths_N[piece.rows])
        assert own.max() == piece.padded
        assert len(piece.rows) == 1 or len(piece.rows) * piece.padded <= budget
        assert (piece.padded - own).sum() <= waste


@pytest.mark.parametrize("decay", ["linear", "cosine", "constant"])
def test_the_rate_warms_up_to_one_and_decays(decay: str) -> None:
    course = [rate_factor(step, 100, warmup=0.1, decay=decay) for step in range(100)]
    assert course[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert course[10] == pytest.approx(1)
    assert all(a >= b for a, b in pairwise(course[10:]))
    assert (course[-1] < 0.02) == (decay != "constant")
