"""A planned trial fitted and scored in this process: prepared rows, a fit, all batches of the plan.

    again = run_again(planned, plan, threads=1, on_gpu=False)
    again.records, again.checkpoint

Nothing is looked up: features are computed anew, whatever caches hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from raybench.core import Score, Status, Trial
from raybench.core.errors import RaybenchError
from raybench.data.batches import batch_tokens
from raybench.metrics import MetricSet
from raybench.planning.plan import Plan, PlannedTrial
from raybench.results.ledger import blank_row
from raybench.runtime.prepare import prepare_data
from raybench.runtime.training.device import device_of
from raybench.runtime.trial import Checkpoint, fit_trial, needs_fit, open_predictor, score_shard
from raybench.runtime.workspace import Workspace
from raybench.store.provenance import library_versions, processor_name
from raybench.store.trials import TrialRow
from raybench.tasks.catalog import task_of

__all__ = ["Again", "run_again"]

_CACHE = "RAYBENCH_CACHE"  # where features are kept on disk; empty: nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """`row` says what it was made on, as a run's does; `records` are by id; nothing fitted: no checkpoint."""

    trial: Trial
    device: torch.device
    row: TrialRow
    scores: Mapping[str, Score]
    records: pa.Table
    checkpoint: Checkpoint | None


def run_again(planned: PlannedTrial, plan: Plan, *, threads: int, on_gpu: bool) -> Again:
    """Raises RaybenchError for what a user can mend, and what the fit itself raises."""
    if on_gpu and not torch.cuda.is_available():
        raise RaybenchError("it was made on a GPU, and here is none: its last bits would be others")
    trial, dataset, needs = planned.trial, plan.datasets[planned.trial.dataset.name], plan.data[planned.work.data_key]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with _nothing_looked_up():
            workspace = Workspace(device_of(1.0 if on_gpu else 0.0, cuda_available=torch.cuda.is_available()))
            rows = prepare_data(
                task_of(needs.dataset),
                dataset.loaded.splits,
                needs.model,
                needs.dataset,
                tokens=batch_tokens(plan.job.resources.batch_tokens, workspace.device.type),
                draw_seed=needs.draw_seed,
            )
            checkpoint = None
            if needs_fit(trial):
                assert rows.train is not None
                checkpoint = fit_trial(trial, rows.train, workspace, validation=rows.validation)
            predictor = open_predictor(trial, checkpoint, workspace)
            metric_set = MetricSet(dataset.metrics, dataset.metric_config)
            step = plan.job.resources.shard_batches
            results = [
                score_shard(
                    predictor, rows.test, rows.plan.batches(start, min(start + step, rows.plan.num_batches)), metric_set
                )
                for start in range(0, rows.plan.num_batches, step)
            ]
    finally:
        torch.set_num_threads(before)
    device = predictor.device.type
    name = torch.cuda.get_device_name(predictor.device) if device == "cuda" else processor_name()
    made_on: dict[str, Any] = {
        "device": [device],
        "device_name": [name],
        "dtype": [predictor.dtype],
        "threads": [threads],
    }
    versions = {library: [version] for library, version in library_versions().items()}
    fit: dict[str, Any] = {}
    if checkpoint is not None:
        fit = {**checkpoint.meta, "device_name": name, "versions": library_versions()}
    row = TrialRow(
        trial_id=trial.trial_id,
        status=Status.OK,
        num_examples=sum(one.num_examples for one in results),
        provenance={**made_on, "versions": versions, "fit": fit},
        identity=blank_row(trial).identity,
    )
    records = pa.concat_tables([one.records for one in results]).sort_by("id").combine_chunks()
    return Again(
        trial=trial,
        device=predictor.device,
        row=row,
        scores=metric_set.compute(metric_set.states(records), records=lambda: records),
        records=records,
        checkpoint=checkpoint,
    )


@contextmanager
def _nothing_looked_up() -> Iterator[None]:
    before = os.environ.get(_CACHE)
    os.environ[_CACHE] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CACHE]
        else:
            os.environ[_CACHE] = before
