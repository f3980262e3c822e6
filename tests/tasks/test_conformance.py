"""What every task keeps, whatever it asks: no example is lost, doubled or parted, and no neighbour changes a bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from raybench.core import Trial
from raybench.metrics import MetricSet
from raybench.recipes.fingerprint import candidate_fingerprint
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import Checkpoint, fit_trial, open_predictor, score_shard
from raybench.tasks.catalog import TASKS, task_of
from tests.device import DEVICE, on_cpu

Scored = tuple[list[pa.Table], MetricSet]


# tasks that ask models of another kind otherwise
OTHER_NETWORKS = (
    "multiple-choice pairs",
    "prompted-classification masks",
    "recommendation items",
    "speech-recognition letters",
    "speech-recognition writer",
)


@pytest.fixture(scope="module", params=[*TASKS, *OTHER_NETWORKS])
def fitted(request: pytest.FixtureRequest, make_toy: Callable[[str], Any]) -> tuple[Any, Trial, Checkpoint | None]:
    """A toy, its trial, and one short fit on it."""
    toy = make_toy(request.param)
    method = get_method(toy.method)
    given = {"epochs": 1, "batch_size": 8} if method.needs_fit and not method.on_features else {}
    trial = Trial(
        trial_id=toy.task, candidate="toy", model=toy.model, dataset=toy.dataset, method=toy.method,
        hyperparameters=method.resolve(given), seed=0, weights_fingerprint=candidate_fingerprint(toy.model),
    )  # fmt: skip
    if not method.needs_fit:
        return toy, trial, None
    task = task_of(toy.dataset).beside(toy.rows, toy.labels)
    train = task.prepare(toy.rows, toy.model, toy.max_length)
    return toy, trial, fit_trial(trial, train, DEVICE)


def scored(trial: Trial, checkpoint: Checkpoint | None, rows: pa.Table, cuts: int) -> Scored:
    """Records of the rows, scored in shards of `cuts` batches."""
    task = task_of(trial.dataset)
    data = prepare_data(task, {"test": rows}, trial.model, trial.dataset)
    predictor = open_predictor(trial, checkpoint, DEVICE)
    metric_set = MetricSet(task.metrics, task.metric_config(trial.dataset.labels, trial.dataset.task_config))
    parts = []
    for start in range(0, data.plan.num_batches, cuts):
        stop = min(start + cuts, data.plan.num_batches)
        parts.append(score_shard(predictor, data.test, data.plan.batches(start, stop), metric_set).records)
    return parts, metric_set


def joined(parts: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(parts).combine_chunks().sort_by("id")


def test_records_are_one_an_example_and_as_the_task_declares(fitted: Any) -> None:
    toy, trial, checkpoint = fitted
    parts, metric_set = scored(trial, checkpoint, toy.rows, 2)
    records = joined(parts)
    assert records.column("id").to_pylist() == sorted(toy.rows.column("id").to_pylist())
    assert records.schema.equals(task_of(toy.dataset).record_schema(toy.labels))
    scores = metric_set.compute(metric_set.states(records), lambda: records)
    assert all(scores[name].value is not None for name in metric_set.names), scores


def test_shards_of_any_size_leave_the_same_records_and_scores(fitted: Any) -> None:
    toy, trial, checkpoint = fitted
    whole, metric_set = scored(trial, checkpoint, toy.rows, 1000)
    whole_table = joined(whole)
    for cuts in (1, 3):
        parts, _ = scored(trial, checkpoint, toy.rows, cuts)
        assert joined(parts).equals(whole_table), cuts
        merged = metric_set.empty().merge(*(metric_set.states(part) for part in parts))
        expected = metric_set.compute(metric_set.states(whole_table), lambda: whole_table)
        assert metric_set.compute(merged, lambda: whole_table) == expected


def test_a_batch_lies_wholly_on_its_device(fitted: Any) -> None:
    toy, trial, _ = fitted
    task, meta = task_of(trial.dataset), torch.device("meta")
    data = prepare_data(task, {"test": toy.rows}, trial.model, trial.dataset)
    if trial.model.baseline is not None:
        pytest.skip("a baseline reads no tensors")
    examples = task.examples(data.test, trial.model, trial.dataset)
    start, stop, padded = data.plan.batches(0, 1)[0]
    batch = examples.batch(np.arange(start, stop), padded, meta)
    assert {tensor.device.type for tensor in tensors((batch.inputs, batch.targets))} <= {"meta"}


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """All that are somewhere in it but what is read on the host, and would be waited for elsewhere."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping) or hasattr(value, "_asdict"):
        named = value if isinstance(value, Mapping) else value._asdict()
        for name, part in named.items():
            if name not in ("counts", "owner"):
                yield from tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors(part)


@on_cpu
def test_neighbours_and_order_change_records_in_last_digits_alone(fitted: Any) -> None:
    """The batch plan is fixed before anything starts because a product of other rows may round otherwise."""
    toy, trial, checkpoint = fitted
    whole, _ = scored(trial, checkpoint, toy.rows, 1000)
    records = joined(whole)
    some = np.random.default_rng(0).permutation(toy.rows.num_rows)[: toy.rows.num_rows // 2]
    few = joined(scored(trial, checkpoint, toy.rows.take(pa.array(some)), 1000)[0])
    kept = records.filter(pc.is_in(records.column("id"), value_set=few.column("id").combine_chunks()))
    for name in records.column_names:
        mine, theirs = flat(few.column(name)), flat(kept.column(name))
        if pa.types.is_floating(mine.type):
            np.testing.assert_allclose(mine.to_numpy(), theirs.to_numpy(), rtol=1e-4, atol=1e-5, err_msg=name)
        else:
            assert mine.equals(theirs), name


def flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values of a column, of lists those inside."""
    while pa.types.is_nested(column.type):
        column = pc.list_flatten(column)
    return column
