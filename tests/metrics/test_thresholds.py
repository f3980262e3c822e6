"""Predictions by a threshold, and the threshold that records pick."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.metrics import MetricSet
from raybench.metrics.records import classification_records, multilabel_records
from raybench.metrics.thresholds import HALF, Picked, at_threshold, pick_threshold
from raybench.tasks.rows import record_columns

CONFIG = {"labels": ["ham", "spam"]}


def of_two(logits: np.ndarray, target: np.ndarray) -> pa.Table:
    """Records as scoring makes them; `logits` [N] are those of the second label."""
    rows = pa.table({"id": [f"{place:04d}" for place in range(len(logits))]})
    both = torch.from_numpy(np.stack([np.zeros_like(logits), logits], axis=1))
    made = classification_records(both, torch.from_numpy(target))
    return record_columns(rows, pa.array(target), made)


def of_several(logits: np.ndarray, targets: np.ndarray) -> pa.Table:
    rows = pa.table({"id": [f"{place:04d}" for place in range(len(logits))]})
    return record_columns(rows, None, multilabel_records(torch.from_numpy(logits), torch.from_numpy(targets)))


def timid(seed: int = 0, num_rows: int = 150) -> pa.Table:
    """Mails of which a sixth is spam, and a model that says so only when it is very sure."""
    rng = np.random.default_rng(seed)
    target = (rng.random(num_rows) < 1 / 6).astype(np.int64)
    return of_two(2 * target - 2.5 + rng.normal(0, 1, num_rows), target)


def value(records: pa.Table, metric: str) -> float:
    metrics = MetricSet((metric,), CONFIG)
    found = metrics.compute(metrics.states(records), records=lambda: records)[metric].value
    assert found is not None
    return found


def test_the_threshold_has_the_best_value_of_all_ways_to_cut() -> None:
    records = timid()
    picked = pick_threshold(records, "macro_f1", CONFIG)
    probabilities = np.sort(1 / (1 + np.exp(-records["score"].to_numpy().astype(np.float64))))
    cuts = [HALF, *(probabilities[1:] + probabilities[:-1]) / 2]
    assert picked.value == max(value(at_threshold(records, cut), "macro_f1") for cut in cuts)
    assert picked.at_half == value(records, "macro_f1") < picked.value
    assert value(at_threshold(records, picked.threshold), "macro_f1") == picked.value
    assert picked.threshold < 0.5


def test_where_less_is_better_the_least_is_picked() -> None:
    rng = np.random.default_rng(3)
    targets = (rng.random((80, 3)) < 0.3).astype(np.int64)
    records = of_several(3 * targets - 3 + rng.normal(0, 1, targets.shape), targets)
    picked = pick_threshold(records, "hamming_loss", {"labels": ["a", "b", "c"]})
    assert picked.value is not None
    assert picked.at_half is not None
    assert picked.value < picked.at_half


def test_in_any_order_and_joined_of_any_parts_records_pick_the_same() -> None:
    records = timid()
    shuffled = records.take(np.random.default_rng(1).permutation(records.num_rows))
    joined = pa.concat_tables([shuffled.slice(0, 17), shuffled.slice(17)])
    assert pick_threshold(joined, "macro_f1", CONFIG) == pick_threshold(records, "macro_f1", CONFIG)


def test_of_equal_thresholds_the_nearest_to_half_is_picked() -> None:
    sure = of_two(np.array([-4.0, -3.0, 3.0, 4.0]), np.array([0, 0, 1, 1]))
    assert pick_threshold(sure, "macro_f1", CONFIG) == Picked(0.5, "macro_f1", 1.0, 1.0)
    late = of_two(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1]))
    assert pick_threshold(late, "accuracy", CONFIG).threshold == pytest.approx(0.9167, abs=1e-3)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier"])
def test_what_reads_scores_is_untouched_and_picks_half(metric: str) -> None:
    records = timid()
    assert value(at_threshold(records, 0.1), metric) == value(records, metric)
    assert pick_threshold(records, metric, CONFIG).threshold == HALF


def test_a_prediction_is_the_second_label_from_the_threshold_on_and_has_its_own_probability() -> None:
    made = at_threshold(of_two(np.array([-2.0, -1.0, 1.0]), np.array([0, 1, 1])), 0.2)
    probabilities = 1 / (1 + np.exp([2.0, 1.0, -1.0]))
    assert made["prediction"].to_pylist() == [0, 1, 1]
    assert made["confidence"].to_numpy() == pytest.approx([1 - probabilities[0], *probabilities[1:]], rel=1e-6)
    assert made.schema == of_two(np.array([0.0]), np.array([0])).schema


def test_rows_without_a_score_keep_having_no_prediction() -> None:
    made = at_threshold(of_two(np.array([np.nan, 1.0]), np.array([0, 1])), 0.01)
    assert made["prediction"].to_pylist() == [-1, 1]
    assert np.isnan(made["confidence"][0].as_py())


def test_several_labels_have_one_threshold() -> None:
    rng = np.random.default_rng(3)
    targets = (rng.random((80, 3)) < 0.3).astype(np.int64)
    records = of_several(3 * targets - 3 + rng.normal(0, 1, targets.shape), targets)
    config = {"labels": ["a", "b", "c"]}
    picked = pick_threshold(records, "multilabel_macro_f1", config)
    assert picked.threshold < 0.5
    assert picked.at_half is not None
    assert picked.value is not None
    assert picked.value > picked.at_half
    made = at_threshold(records, picked.threshold)
    assert made.schema == records.schema
    assert made["scores"].equals(records["scores"])
    probabilities = 1 / (1 + np.exp(-records["scores"].combine_chunks().flatten().to_numpy().astype(float)))
    predicted = made["predictions"].combine_chunks().flatten().to_numpy()
    assert np.array_equal(predicted, probabilities >= picked.threshold)


def test_of_many_probabilities_two_hundred_are_tried_in_seconds() -> None:
    picked = pick_threshold(timid(num_rows=20_000), "macro_f1", CONFIG)
    assert picked.value is not None
    assert picked.at_half is not None
    assert picked.value > picked.at_half + 0.05
