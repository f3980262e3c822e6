"""Draws behind intervals: who has drawn before changes nothing, and what need not be looked at again is not missed."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.core import Score
from raybench.metrics import MetricSet, cells
from raybench.metrics.bootstrap import Units
from raybench.metrics.calibration import _TAIL, _crossing
from raybench.metrics.cells import CellDraws
from raybench.metrics.coverage import once_for_ids
from raybench.metrics.metric import OneHot

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


def measured(metrics: MetricSet, records: pa.Table) -> tuple[dict[str, Score], dict[str, list[float]]]:
    """Scores, and replicates of each metric."""
    scorer = metrics.scorer(metrics.states(records), lambda: records)
    scores = {name: metrics.score(name, scorer) for name in metrics.names}
    return scores, {name: scorer.replicates(*metrics.metric(name)).tolist() for name in metrics.names}


def test_a_trial_has_the_same_intervals_and_replicates_alone_and_after_any_others():
    def metrics() -> MetricSet:
        return MetricSet(["macro_f1", "mcc", "accuracy"], {"labels": LABELS})

    same_counts = trial(2).set_column(0, "id", pa.array([f"r{299 - row}" for row in range(300)]))
    other_rows = trial(2).set_column(0, "id", pa.array([f"s{row}" for row in range(300)]))
    shuffled = trial(2).take(np.random.default_rng(0).permutation(300))
    trials, alone = [*map(trial, range(4)), same_counts, other_rows, shuffled], []
    for records in trials:
        forget()
        alone.append(measured(metrics(), records))
    forget()
    shared = metrics()
    for place in (2, 0, 4, 5, 6, 3, 1, 2, 5):
        assert measured(shared, trials[place]) == alone[place]
    assert cells._draws.cache_info().hits > 0
    assert alone[2][0] == alone[4][0] == alone[6][0]
    assert alone[2] == alone[6]
    assert alone[2][1] != alone[4][1]  # other examples are right
    assert alone[2][0] != alone[5][0]  # other examples draw otherwise


def test_what_is_made_of_ids_once_is_made_of_equal_ids_alone():
    made = []
    length = once_for_ids(lambda ids: made.append(len(ids)) or len(ids))
    first, again = pa.array(["a", "bc"]), pa.chunked_array([["a"], ["bc"]])
    others = [pa.array(["ab", "c"]), pa.array([1, 2]), pa.array(["a", "bd"]), pa.array(["bc", "a"])]
    assert [length(ids) for ids in (first, again, *others, first)] == [2] * 7
    assert len(made) == 5


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([np.int64, np.int8, np.uint8, bool]))
def test_counts_are_resampled_in_single_precision_to_the_same_sums(seed: int, kind: type):
    rng = np.random.default_rng(seed)
    units = Units(np.arange(40, dtype=np.uint64) + seed, np.arange(40), seed)
    counts, codes = rng.integers(0, 2 if kind is bool else 120, (40, 3)).astype(kind), rng.integers(-1, 5, 40)
    drawn = units.replicate({"counts": counts, "codes": OneHot(codes, 5), "x": rng.normal(size=40)})
    np.testing.assert_array_equal(drawn["counts"], units.weights() @ counts.astype(np.float64))
    np.testing.assert_array_equal(drawn["codes"], units.weights() @ (codes[:, None] == np.arange(5)))
    large = (counts.astype(np.int64) << 24) + 1  # float32 would lose the one
    np.testing.assert_array_equal(units.replicate({"large": large})["large"], units.weights() @ large)


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
    low_drawn, high_drawn, again = (
        np.concatenate(parts) for parts in zip(*(np.split(one.drawn["cells"], 3) for one in draws), strict=True)
    )
    for drawn, weights in ((low_drawn / counts.sum(), low), (high_drawn / counts.sum(), high)):
        mean = weights / weights.sum()
        deviation = np.sqrt(mean * (1 - mean) / (weights.sum() + 1))
        error = deviation / np.sqrt(len(drawn))
        assert (np.abs(drawn.mean(axis=0) - mean) <= 4.5 * error).all()
        np.testing.assert_allclose(drawn.std(axis=0)[hits], deviation[hits], rtol=0.03)
        covariance = np.cov(drawn[:, hits[0]], drawn[:, hits[1]])[0, 1]
        assert covariance == pytest.approx(-mean[hits[0]] * mean[hits[1]] / (weights.sum() + 1), rel=0.15)
    assert (np.abs(again.mean(axis=0) - counts) <= 4.5 * np.sqrt(counts / len(again))).all()
    np.testing.assert_allclose(again.var(axis=0)[hits], counts[hits], rtol=0.03)


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize(
    ("between", "beyond"), [((0.0, 1.0), 2.0), ((1.0, 2.0), 0.0), ((1.0, 2.0), 4.0), ((2.0, 4.0), 8.0)]
)
def test_only_draws_that_lines_leave_open_are_looked_at_and_the_crossing_is_that_of_all(
    largest: bool, between: tuple[float, float], beyond: float
):
    rng = np.random.default_rng(3)

    def errors(multiples: np.ndarray, draws: np.ndarray) -> np.ndarray:
        looked_at.append(multiples.size * draws.shape[1])
        sizes = np.abs(np.multiply.outer(gap, multiples)[:, :, None] + draws[:, None, :])
        return sizes.max(axis=0) if largest else sizes.sum(axis=0)

    crossings, looked_at = set(), []
    for scale in rng.lognormal(-1, 1.5, size=60):
        gap, draws = rng.normal(size=8) * scale, rng.normal(size=(8, 400))
        draws[:, rng.random(400) < 0.02] = 0.0  # all errors of one multiple are the same
        seen = errors(np.ones(1), draws[:, :1])[0, 0]
        for least in (_TAIL * 400, 400 - _TAIL * 400):
            low, high = between
            for _ in range(15):
                middle = (low + high) / 2
                holds = np.count_nonzero(errors(np.array([middle]), draws) <= seen) > least
                low, high = (middle, high) if holds else (low, middle)
            known = {one: errors(np.array([one]), draws)[0] for one in (*between, beyond)}
            looked_at.clear()
            assert _crossing(errors, draws, seen, least, known, between, beyond, 15) == (low + high) / 2
            assert sum(looked_at) < 15 * 400
            crossings.add((low + high) / 2)
    assert len(crossings) > 10
