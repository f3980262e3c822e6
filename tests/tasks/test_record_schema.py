"""What a task says it leaves in records is what it leaves, so the plan's check of metrics can be believed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import DatasetKey
from raybench.metrics import MetricSet
from raybench.metrics.catalog import METRICS
from raybench.metrics.requirements import fitting, misfit
from raybench.tasks.catalog import TASKS, get_task


def labelled(count: int) -> tuple[str, ...]:
    return tuple(f"c{number}" for number in range(count))


POOLED = [name for name in TASKS if get_task(name).objective is not None]


def made(name: str, count: int) -> pa.Table:
    """Records of 80 rows with random outputs, every class among the targets."""
    draw, task = np.random.default_rng(count), get_task(name)
    dataset = DatasetKey(name="toy", task=name, labels=labelled(count), fingerprint="toy", max_length=8)
    targets = {
        "label": pa.array(np.arange(80) % count, pa.int32()),
        "labels": pa.array([[row % count] * (row % 2) for row in range(80)], pa.list_(pa.int32())),
        "value": draw.normal(size=80),
    }
    rows = pa.table({"id": [str(i) for i in range(80)], **targets})
    outputs = torch.from_numpy(draw.normal(size=(80, task.num_outputs(dataset)))).float()
    return task.records(outputs, rows, dataset)


@pytest.mark.parametrize("count", [2, 3, 64, 65])
@pytest.mark.parametrize("task", POOLED)
def test_the_schema_of_a_task_is_that_of_its_records(task: str, count: int) -> None:
    assert made(task, count).schema.equals(get_task(task).record_schema(labelled(count)))


@pytest.mark.parametrize("task", POOLED)
def test_what_a_task_measures_by_itself_has_a_value(task: str) -> None:
    records, asked = made(task, 3), get_task(task)
    metric_set = MetricSet(asked.metrics, asked.metric_config(labelled(3), {}))
    scores = metric_set.compute(metric_set.states(records), lambda: records)
    assert all(scores[name].value is not None for name in asked.metrics)
    assert asked.primary in asked.metrics


@pytest.mark.parametrize("count", [2, 3, 65])
def test_a_metric_fits_exactly_where_it_has_a_value(count: int) -> None:
    task = get_task("text-classification")
    records, labels = made("text-classification", count), labelled(count)
    config = task.metric_config(labels, {})
    for name in fitting(records.schema, config):
        metric_set = MetricSet([name], config)
        assert metric_set.compute(metric_set.states(records), lambda: records)[name].value is not None, name
    unfit = set(METRICS) - set(fitting(records.schema, config))
    assert {"bleu", "mae", "spearman", "ndcg", "multilabel_macro_f1"} <= unfit
    assert ("f1" in unfit) == (count != 2)
    assert ("roc_auc" in unfit) == (count > 64)


def test_numbers_as_targets_serve_metrics_of_distance() -> None:
    schema = pa.schema({"id": pa.string(), "target": pa.float64(), "prediction": pa.float64()})
    assert {"mae", "mse", "r2", "spearman", "pearson"} <= set(fitting(schema, {}))
    assert misfit("accuracy", schema, {}) is not None
