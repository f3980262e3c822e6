"""What a race needs of the metrics: an order, values of examples, and the bets of many pairs at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raybench.metrics import Metric, MetricSet
from raybench.metrics.bounded import example_values, is_bounded_mean
from raybench.metrics.catalog import METRICS, find
from raybench.metrics.draw_order import draw_keys, looks
from raybench.metrics.e_process import EProcess, log_wealth


@settings(max_examples=60)
@given(
    differences=st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.1, 0.5, 1.0]), min_size=1, max_size=30),
    more=st.integers(0, 20),
    margin=st.sampled_from([0.0, 0.25]),
)
def test_many_pairs_at_once_bet_as_one_does(differences, more, margin):
    population = len(differences) + more
    process, expected = EProcess(population=population), []
    for difference in differences:
        process = process.update([(difference - margin) / (1 + margin)])
        expected.append(process.log_wealth)
    rows = np.array([differences, [-one for one in differences]])
    wealth = log_wealth(rows, population=population, margin=margin)[0]
    same = np.isclose(wealth, expected, rtol=1e-6, atol=1e-6)
    assert (same | (wealth < expected)).all()  # where a sum is within rounding of the null's end it bets nothing
    assert same[: max(0, len(differences) - 1 if more == 0 else len(differences))].all() or 0.1 in np.abs(differences)


def test_the_order_is_of_ids_and_seed_alone():
    ids = [f"example {number}" for number in range(500)]
    keys = draw_keys(ids, seed=3)
    assert len(set(keys.tolist())) == 500
    shuffled = np.random.default_rng(0).permutation(500)
    np.testing.assert_array_equal(draw_keys([ids[place] for place in shuffled], seed=3), keys[shuffled])
    assert abs(np.corrcoef(np.argsort(keys), np.arange(500))[0, 1]) < 0.1
    assert abs(np.corrcoef(np.argsort(keys), np.argsort(draw_keys(ids, seed=4)))[0, 1]) < 0.1


@given(st.integers(1, 10**6))
def test_looks_grow_by_a_quarter_to_the_end(num_examples):
    found = looks(num_examples)
    assert found[-1] == num_examples
    assert sorted(set(found)) == list(found)
    assert all(b <= 1.25 * a for a, b in pairwise(found[:-1]))
    assert all(b <= 1.4 * a for a, b in pairwise(found))
    assert found[0] == min(128, num_examples) or num_examples <= 142


BOUNDED = {
    "accuracy", "micro_recall", "top_k_accuracy", "brier", "choice_accuracy", "choice_accuracy_norm",
    "multilabel_exact_match", "multilabel_samples_f1", "exact_match", "qa_f1", "answerable_f1", "rouge1", "rouge2",
    "rougeL", "ndcg", "ndcg_at_k", "mrr", "mrr_at_k", "mean_average_precision", "mean_average_precision_at_k",
    "hit_rate_at_k", "recall_at_k", "precision_at_k",
}  # fmt: skip


def test_means_of_bounded_values_are_known_and_nothing_else_is_taken_for_one():
    found = {name for name in METRICS if is_bounded_mean(find(name.replace("_at_k", "_at_5").replace("_k_", "_5_"))[0])}
    assert found == BOUNDED


LISTS = pa.list_(pa.float64())


@pytest.mark.parametrize(
    "name",
    ["accuracy", "brier", "top_2_accuracy", "exact_match", "qa_f1", "ndcg_at_2", "multilabel_exact_match"],
)
def test_the_mean_of_what_examples_are_worth_is_the_value(name):
    rng, n = np.random.default_rng(0), 40
    words = [" ".join(rng.choice(["red", "blue", "tall"], 2)) for _ in range(2 * n)]
    truths = [list(map(int, rng.integers(0, 2, 2))) for _ in range(2 * n)]
    records = pa.table(
        {
            "id": [f"{number}" for number in range(n)],
            "target": pa.array(rng.integers(0, 3, n), pa.int32()),
            "prediction": pa.array(rng.integers(-1, 3, n), pa.int32()),
            "rank": pa.array(rng.integers(0, 4, n), pa.int32()),
            "brier": rng.uniform(0, 2, n),
            "hypothesis": words[:n],
            "references": [[word] for word in words[n:]],
            "relevance": pa.array([[1.0, 0.0, 2.0]] * n, LISTS),
            "scores": pa.array(list(rng.uniform(size=(n, 3))), LISTS),
            "targets": truths[:n],
            "predictions": truths[n:],
        }
    )
    metrics = MetricSet([name], {"labels": ["a", "b"] if "multi" in name else ["a", "b", "c"]})
    metric, options = metrics.metric(name)
    assert isinstance(metric, Metric)
    values = example_values(metric, options, records)
    assert values.mean() == pytest.approx(metrics.compute(metrics.states(records), lambda: records)[name].value)
    low, high = metric.range
    assert (low <= values).all()
    assert (values <= high).all()


def test_weighed_metrics_are_no_bounded_mean():
    metrics = MetricSet(["accuracy", "brier"], {"labels": ["a", "b"], "weight": "w"})
    assert not any(is_bounded_mean(metrics.metric(name)[0]) for name in metrics.names)
