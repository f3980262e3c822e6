"""A trial of a task on rows at hand, and its records in the order of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.metrics import MetricSet
from raybench.recipes.fingerprint import candidate_fingerprint
from raybench.recipes.methods.catalog import get_method
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import fit_trial, needs_fit, open_predictor, score_shard
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")


def make_trial(
    task: str, model: Path | str | ModelSpec, method: str = "none", *, given: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (), max_length: int, **config: Any,
) -> Trial:  # fmt: skip
    """`given` are hyperparameters, `config` is the task's."""
    spec = model if isinstance(model, ModelSpec) else ModelSpec(reference=str(model))
    dataset = DatasetKey(
        name="toy", task=task, labels=tuple(labels), fingerprint="toy", max_length=max_length, task_config=config
    )
    h = {} if spec.baseline else get_method(method).resolve(given or {})
    return Trial(
        trial_id=method, candidate="toy", model=get_method(method).adapt(spec, h), dataset=dataset, method=method,
        hyperparameters=h, seed=0, weights_fingerprint=candidate_fingerprint(spec),
    )  # fmt: skip


def records_of(trial: Trial, rows: pa.Table, train: pa.Table | None = None) -> pa.Table:
    """Fitted on `train`, or on the rows themselves, where the trial is to be fitted."""
    key = trial.dataset
    task = get_task(key.task, key.task_config)
    data = prepare_data(task, {"train": rows if train is None else train, "test": rows}, trial.model, key)
    checkpoint = fit_trial(trial, data.train, CPU) if needs_fit(trial) else None
    predictor = open_predictor(trial, checkpoint, CPU)
    metrics = MetricSet(task.metrics, task.metric_config(key.labels, key.task_config))
    scored = score_shard(predictor, data.test, data.plan.batches(0, data.plan.num_batches), metrics).records
    place = {name: number for number, name in enumerate(scored["id"].to_pylist())}
    return scored.take(pa.array([place[name] for name in rows["id"].to_pylist()]))
