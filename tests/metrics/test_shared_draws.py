"""Draws behind intervals: who has drawn before changes nothing, and what need not be looked at again is not missed."""

import numpy as np
import pyarrow as pa
import pytest

from raybench.metrics import MetricSet, cells
from raybench.metrics.calibration import _TAIL, _crossing
from raybench.metrics.cells import CellDraws

LABELS = list("abcd")


def trial(seed: int, num_rows: int = 300) -> pa.Table:
    """Records of one of several trials on the same examples."""
    rng = np.random.default_rng(seed)
    target = np.arange(num_rows) % 4
    prediction = np.where(rng.random(num_rows) < 0.8, target, rng.integers(0, 5, num_rows))
    columns = {"target": target.astype(np.int32), "prediction": prediction.astype(np.int32)}
    return pa.table({"id": [f"r{row}" for row in range(num_rows)], **columns})


def forget() -> None:
    cells._draws.cache_clear()
    cells._gamma.cache_clear()


def test_a_trial_has_the_same_intervals_alone_and_after_any_others():
    metrics = MetricSet(["macro_f1", "mcc"], {"labels": LABELS})
    alone = []
    for seed in range(4):
        forget()
        alone.append(metrics.compute(metrics.states(trial(seed))))
    forget()
    for seed in (2, 0, 3, 1):
        assert metrics.compute(metrics.states(trial(seed))) == alone[seed]
    assert cells._draws.cache_info().hits > 0


def test_draws_have_the_moments_of_their_distributions():
    """Dirichlet with the prior of each end, and Poisson counts."""
    metrics = MetricSet(["macro_f1"], {"labels": LABELS})
    (state,) = metrics.states(trial(5)).states.values()
    counts = np.zeros(20)
    counts[state.fields["cells"].keys] = state.fields["cells"].values
    hits, misses = np.arange(4) * 6, np.array([1, 7, 13, 15])
    low, high = counts.copy(), counts.copy()
    low[misses] += 0.5
    high[misses] += 0.1 / 4
    high[hits] += 0.25
    draws = [CellDraws.of(state, seed=seed) for seed in range(40)]
    for side, weights in (("low", low), ("high", high)):
        drawn = np.concatenate([getattr(one, side)["cells"] for one in draws]) / counts.sum()
        mean = weights / weights.sum()
        deviation = np.sqrt(mean * (1 - mean) / (weights.sum() + 1))
        error = deviation / np.sqrt(len(drawn))
        assert (np.abs(drawn.mean(axis=0) - mean) <= 4.5 * error).all()
        np.testing.assert_allclose(drawn.std(axis=0)[hits], deviation[hits], rtol=0.03)
        covariance = np.cov(drawn[:, hits[0]], drawn[:, hits[1]])[0, 1]
        assert covariance == pytest.approx(-mean[hits[0]] * mean[hits[1]] / (weights.sum() + 1), rel=0.15)
    again = np.concatenate([one.again["cells"] for one in draws])
    assert (np.abs(again.mean(axis=0) - counts) <= 4.5 * np.sqrt(counts / len(again))).all()
    np.testing.assert_allclose(again.var(axis=0)[hits], counts[hits], rtol=0.03)


@pytest.mark.parametrize("largest", [False, True])
def test_only_draws_of_which_it_is_open_are_looked_at_and_the_crossing_is_that_of_all(largest: bool):
    rng = np.random.default_rng(3)

    def errors(multiple: float, draws: np.ndarray) -> np.ndarray:
        sizes = np.abs(multiple * gap[:, None] + draws)
        return sizes.max(axis=0) if largest else sizes.sum(axis=0)

    for scale in rng.lognormal(-1, 1, size=30):
        gap, draws = rng.normal(size=8) * scale, rng.normal(size=(8, 400))
        seen = errors(1.0, draws)[0]
        least = _TAIL * 400
        top = 2.0
        while np.count_nonzero(errors(top, draws) <= seen) > least:
            top *= 2
        low, high = 0.0, top
        for _ in range(16):
            middle = (low + high) / 2
            holds = np.count_nonzero(errors(middle, draws) <= seen) > least
            low, high = (middle, high) if holds else (low, middle)
        assert _crossing(errors, draws, seen, least, (0.0, top)) == (low + high) / 2
