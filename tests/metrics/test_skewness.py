"""Intervals of means: exact moments, what they say of the skewness, how often a mean with a long tail is held."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from raybench.metrics import MetricSet, evaluate
from raybench.metrics.influence import spread_of, spread_of_moments
from raybench.metrics.intervals import hall, interval_of, mean_spread
from raybench.metrics.state import State
from raybench.metrics.state_set import StateSet

LOSSES = {"target": np.zeros(60), "prediction": np.random.default_rng(0).lognormal(size=60)}


def losses(**columns) -> pa.Table:
    return pa.table({"id": [f"r{k:03d}" for k in range(60)], **LOSSES, **columns})


def test_halls_t_without_skewness_is_what_it_was_made_of():
    for skewness in (-1.5, -0.2, 0.0, 1e-12, 0.3, 2.0):
        for quantile in (-12.0, -2.0, 0.0, 2.0, 12.0):
            t = hall(quantile, skewness)
            w = t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6
            assert w == pytest.approx(quantile, abs=1e-9)


@pytest.mark.parametrize("name", ["mae", "mse", "rmse"])
def test_moments_of_states_and_influences_of_records_give_the_same_interval(name):
    alone = evaluate(name, losses())
    for other in ({"weight": np.full(60, 0.25)}, {"group": np.arange(60)}):
        score = evaluate(name, losses(**other))
        assert (score.low, score.high) == pytest.approx((alone.low, alone.high), rel=1e-9)
    without_records = MetricSet([name], {}).compute(MetricSet([name], {}).states(losses()))[name]
    assert (without_records.low, without_records.high) == (alone.low, alone.high)


def test_an_interval_of_a_mean_is_the_same_bits_whatever_the_shards_are():
    metrics = MetricSet(["mae", "perplexity"], {})
    counts = np.random.default_rng(1).integers(1, 9, 60)
    records = losses(nll=LOSSES["prediction"], num_tokens=counts)
    whole = metrics.compute(metrics.states(records), lambda: records)
    parts = [metrics.states(records.slice(start, 7)) for start in range(0, 60, 7)]
    shuffled = records.take(pa.array(np.random.default_rng(2).permutation(60)))
    assert metrics.compute(parts[3].merge(*parts[:3], *parts[4:]), lambda: shuffled) == whole


def test_a_tail_to_the_right_moves_the_interval_to_the_right_and_keeps_it_in_the_range():
    plain = {"variance": 0.04, "df": 20.0, "bounds": (0.0, np.inf), "trials": 50}
    ends = {skewness: interval_of(0.5, **plain, skewness=skewness) for skewness in (0.0, 0.2, 0.6)}
    lows, highs = zip(*ends.values(), strict=True)
    assert all(np.diff(highs) > 0)
    assert all(np.diff(lows) >= 0)
    assert min(lows) > 0  # where t alone would end below


@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda rng, n: rng.lognormal(sigma=1.2, size=n), np.exp(0.72)),
        (lambda rng, n: rng.exponential(size=n) ** 2, 2.0),
        (lambda rng, n: rng.normal(size=n) ** 2, 1.0),
    ],
    ids=["lognormal", "squared exponential", "squared normal"],
)
def test_the_interval_of_a_loss_with_a_long_tail_holds_its_mean(draw, mean):
    rng, simulations = np.random.default_rng(7), 1500
    held = {True: 0, False: 0}
    for _ in range(simulations):
        x = draw(rng, 100)
        spread = spread_of((x - x.mean()) / x.size)
        for corrected in held:
            low, high = interval_of(
                x.mean(),
                variance=spread.variance,
                df=spread.df if corrected else x.size - 1,
                bounds=(0.0, np.inf),
                trials=x.size,
                skewness=spread.skewness if corrected else None,
            )
            held[corrected] += low <= mean <= high
    assert 0.92 <= held[True] / simulations <= 0.97
    assert held[True] > held[False]


def before(states: StateSet) -> StateSet:
    """The states as they were written when a mean had two moments."""
    cut = {
        key: State(
            measure=state.measure,
            config=state.config,
            fields={name: cells for name, cells in state.fields.items() if name in ("n", "ignored", "x", "xx")},
        )
        for key, state in states.states.items()
    }
    return StateSet.from_bytes(StateSet(states=cut, coverage=states.coverage).to_bytes())


def test_states_written_with_two_moments_are_read_and_merged_and_have_an_interval_without_the_skewness():
    metrics = MetricSet(["mae"], {})
    records = losses()
    first, second = metrics.states(records.slice(0, 30)), metrics.states(records.slice(30))
    new = metrics.compute(first.merge(second))["mae"]
    for old in (before(first).merge(before(second)), before(first).merge(second)):
        assert metrics.covers(old)
        score = metrics.compute(old)["mae"]
        assert score.value == new.value
        assert 0 < score.low < score.value < score.high < new.high


@pytest.mark.parametrize("moved", [lambda x: x + 1e6, lambda x: x * 1e-90, lambda x: x * 1e90])
def test_where_higher_powers_say_nothing_the_interval_is_one_of_two_moments(moved):
    x = moved(LOSSES["prediction"])
    score = evaluate("mae", losses().set_column(2, "prediction", pa.array(x)))
    error = x.std(ddof=1) / np.sqrt(60)
    assert score.high - score.value == pytest.approx(2.0 * error, rel=0.3)
    states = MetricSet(["mae"], {}).states(losses().set_column(2, "prediction", pa.array(x)))
    assert mean_spread(next(iter(states.states.values())).sums()).skewness is None


@pytest.mark.parametrize("power", [-90, -20, 0, 30, 70])
def test_the_spread_of_a_mean_is_that_of_exact_fractions_each_rounded_once(power):
    rng = np.random.default_rng(power + 90)
    metrics = MetricSet(["mae"], {})
    for num_rows in (2, 3, 50):
        x = rng.lognormal(sigma=1.5, size=num_rows) * 10.0**power * (rng.random(num_rows) < 0.9)
        ids = list(map(str, range(num_rows)))
        states = metrics.states(pa.table({"id": ids, "target": np.zeros(num_rows), "prediction": x}))
        sums = next(iter(states.states.values())).sums()
        n, *moments = (Fraction(sums[name][0]) for name in ("n", "x", "xx", "xxx", "xxxx"))
        total, squares, cubes, fourths = moments
        mean = total / n
        second = (squares - n * mean**2) / n**2
        third = (cubes - 3 * mean * squares + 2 * n * mean**3) / n**3
        fourth = (fourths - 4 * mean * cubes + 6 * mean**2 * squares - 3 * n * mean**4) / n**4
        expected = spread_of_moments(float(second), float(third), float(fourth), num_rows)
        spread = mean_spread(sums)
        assert spread == (expected if spread.skewness is not None else (*expected[:1], num_rows - 1, num_rows, None))
        assert spread.skewness is not None or power < -20 or second == 0
