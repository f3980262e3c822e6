"""Decisions on changes: what alarms, what is excluded, what cannot be told; how often, in simulated nights."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.metrics.compare import Difference
from raybench.metrics.permutation import mid_p_mcnemar, studentised
from raybench.results.regression import Noise, Verdict, decide, exit_code, pooled_noise, step

NUM_EXAMPLES = 1000
few = settings(max_examples=60)


def difference(only_before, only_after, n=NUM_EXAMPLES):
    """Of accuracy, after − before, as `metrics.compare` gives it."""
    verdict = mid_p_mcnemar(only_a=only_after, only_b=only_before)
    ends = studentised(only_after - only_before, verdict, only_after + only_before, n)
    return Difference(
        metric="accuracy", a=0.8 + (only_after - only_before) / n, b=0.8, difference=(only_after - only_before) / n,
        low=ends[0] / n, high=ends[1] / n, p_value=verdict.p_value, n=n, num_left_out=0,
    )  # fmt: skip


def verdicts(differences, *, alpha=0.05, matters=0.0, noise=None):
    steps = [step([one], higher_is_better=True, noise=noise) for one in differences]
    return [one.verdict for one in decide(steps, alpha=alpha, min_difference=[matters] * len(steps))]


counts = st.integers(0, 60)


@few
@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=8))
def test_the_other_way_round_a_regression_is_an_improvement(pairs):
    there = verdicts([difference(lost, gained) for lost, gained in pairs])
    back = verdicts([difference(gained, lost) for lost, gained in pairs])
    swapped = {Verdict.REGRESSION: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSION}
    assert back == [swapped.get(one, one) for one in there]


@few
@given(counts, counts, st.floats(0, 0.1), st.floats(0, 0.1))
def test_what_must_be_larger_to_matter_never_alarms_more(lost, gained, matters, more):
    fewer = verdicts([difference(lost, gained)], matters=matters + more)
    if Verdict.REGRESSION in fewer:
        assert verdicts([difference(lost, gained)], matters=matters) == [Verdict.REGRESSION]


@few
@given(counts, counts, st.floats(0.001, 0.1))
def test_no_regression_is_said_only_where_the_interval_excludes_what_matters(lost, gained, matters):
    found = step([difference(lost, gained)], higher_is_better=True, noise=None)
    (verdict,) = verdicts([difference(lost, gained)], matters=matters)
    if verdict is Verdict.NONE:
        assert found.most < matters
    assert (verdict is Verdict.UNKNOWN) <= (found.most >= matters)


@few
@given(counts, counts, st.floats(0, 0.05), st.integers(1, 10))
def test_noise_of_seeds_never_makes_a_change_more_certain(lost, gained, deviation, degrees):
    alone = step([difference(lost, gained)], higher_is_better=True, noise=None)
    noisy = step([difference(lost, gained)], higher_is_better=True, noise=Noise(deviation, degrees))
    if alone.drop > 0:
        assert noisy.p_worse >= alone.p_worse
    assert noisy.least <= alone.least + 1e-12
    assert noisy.most >= alone.most - 1e-12


def test_a_loss_that_grows_is_a_drop():
    (grown,) = [step([difference(5, 60)], higher_is_better=False, noise=None)]
    assert grown.drop == pytest.approx(0.055)
    assert grown.p_worse < 0.001


def test_a_difference_without_a_test_cannot_be_told():
    untested = Difference(metric="x", a=None, b=0.5, difference=None, n=3, num_left_out=0, reason="no positives")
    assert verdicts([untested, difference(0, 0)]) == [Verdict.UNKNOWN, Verdict.NONE]
    assert verdicts([]) == []


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([], 2),
        ([Verdict.NONE, Verdict.IMPROVED], 0),
        ([Verdict.NONE, Verdict.UNKNOWN], 2),
        ([Verdict.UNKNOWN, Verdict.REGRESSION], 1),
    ],
)
def test_a_regression_is_said_before_what_could_not_be_told(found, code):
    assert exit_code(found) == code


def test_noise_is_pooled_over_configurations_and_runs():
    noise = pooled_noise([[0.8, 0.82], [0.5, 0.52, 0.54], [0.9]])
    assert noise.degrees == 3
    assert noise.deviation == pytest.approx(math.sqrt((0.0002 + 0.0008) / 3))
    assert pooled_noise([[0.8], [0.9]]) is None


def nights(rng, num_nights, num_candidates=40):
    """Counts of examples lost and gained between two fits that are as good: [nights, candidates] each."""
    discordant = rng.binomial(NUM_EXAMPLES, rng.uniform(0.02, 0.2, (num_nights, num_candidates)))
    lost = rng.binomial(discordant, 0.5)
    return lost, discordant - lost


def test_nights_in_which_nothing_changed_alarm_in_at_most_five_per_cent():
    rng = np.random.default_rng(0)
    lost, gained = nights(rng, 400)
    alarms = [
        Verdict.REGRESSION in verdicts([difference(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)])
        for a, b in zip(lost, gained, strict=True)
    ]
    assert np.mean(alarms) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)  # tests/bench/bench_nights.py: 5,000 nights


def test_a_drop_of_two_points_among_forty_candidates_is_found():
    """Where fits that are as good differ on 2.5 % of 1,000 examples; tests/bench/bench_nights.py has other figures."""
    rng = np.random.default_rng(1)
    found = []
    for a, b in zip(*nights(rng, 150), strict=True):
        pairs = [difference(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)]
        discordant = rng.binomial(NUM_EXAMPLES, 0.025)
        lost = rng.binomial(discordant, (0.025 + 0.02) / (2 * 0.025))
        pairs[7] = difference(lost, discordant - lost)
        found.append(verdicts(pairs)[7] is Verdict.REGRESSION)
    assert np.mean(found) >= 0.9


def test_noisy_fits_of_three_seeds_that_are_as_good_alarm_in_at_most_five_per_cent_of_nights():
    """Each fit has a quality of its own, so the paired test alone would tell two seeds of one checkpoint apart."""
    rng = np.random.default_rng(2)
    alarms, without = [], []
    for _ in range(150):
        steps, blind = [], []
        for _ in range(10):
            quality = 0.8 + 0.015 * rng.normal(size=(2, 3))
            differences = [fits(rng, *quality[:, seed]) for seed in range(3)]
            noise = pooled_noise([[one.b for one in differences], [one.a for one in differences]])
            steps.append(step(differences, higher_is_better=True, noise=noise))
            blind.append(step(differences[:1], higher_is_better=True, noise=None))
        for found, into in ((steps, alarms), (blind, without)):
            decided = decide(found, alpha=0.05, min_difference=[0.0] * len(found))
            into.append(any(one.verdict is Verdict.REGRESSION for one in decided))
    assert np.mean(alarms) <= 0.05
    assert np.mean(without) > 0.2


def fits(rng, before, after):
    """The difference of two fits of these qualities that are right on examples independently given it."""
    right = [rng.random(NUM_EXAMPLES) < quality for quality in (before, after)]
    found = difference(int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()))
    values = {"b": float(right[0].mean()), "a": float(right[1].mean())}
    return Difference(**{name: getattr(found, name) for name in found.__slots__} | values)
