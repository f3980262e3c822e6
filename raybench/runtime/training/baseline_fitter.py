"""Baselines: fitted on raw rows, kept as arrays."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from raybench.core import Trial
from raybench.core.errors import IncompatibleError
from raybench.data.batches import BatchSlice
from raybench.models.network import Network
from raybench.recipes.baselines.catalog import get_baseline
from raybench.runtime.fitter import FitInputs, Fitter
from raybench.runtime.scoring.predictor import Predictor, span
from raybench.runtime.training.attempt import Attempt
from raybench.runtime.training.checkpoint import Checkpoint
from raybench.runtime.training.cost import fit_meta
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import task_of
from raybench.tasks.task import Task

__all__ = ["BaselineFitter"]


class BaselineFitter(Fitter):
    """One baseline for all trials given, which are the same."""

    def fit(
        self, trials: Sequence[Trial], inputs: FitInputs, attempt: Attempt
    ) -> Iterator[tuple[int, Checkpoint | Exception]]:
        trial, began = trials[0], time.perf_counter()
        arrays = get_baseline(str(trial.model.baseline)).fit(inputs.train, trial.dataset, trial.seed)
        size = sum(array.size for array in arrays.values() if array.dtype != np.uint8)
        seconds = time.perf_counter() - began
        meta = fit_meta(seconds, device=torch.device("cpu"), dtype="float64", total=size, trained=size, flops=0)
        yield from ((place, Checkpoint(arrays=arrays, meta=meta)) for place in range(len(trials)))

    def open(self, trial: Trial, checkpoint: Checkpoint | None, workspace: Workspace) -> Predictor:
        assert checkpoint is not None
        return _BaselinePredictor(trial, task_of(trial.dataset), checkpoint)

    def whole(self, trial: Trial, checkpoint: Checkpoint | None, workspace: Workspace) -> Network:
        raise IncompatibleError(f"baseline {trial.model.baseline} is no network")


class _BaselinePredictor(Predictor):
    """A baseline's arrays on raw rows, all batches at once."""

    def __init__(self, trial: Trial, task: Task, checkpoint: Checkpoint) -> None:
        self.task, self.trial, self.dtype, self.device = task, trial, "float64", torch.device("cpu")
        self._baseline = get_baseline(trial.model.baseline or "")
        self._arrays = checkpoint.arrays

    def read(self, rows: pa.Table) -> pa.Table:
        return rows

    def outputs(self, read: pa.Table, batch: BatchSlice, *, fresh: bool = False) -> Any:
        part = read.slice(batch.start, batch.stop - batch.start)
        outputs = self._baseline.outputs(self._arrays, part, self.trial.dataset)
        return torch.from_numpy(outputs) if isinstance(outputs, np.ndarray) else outputs

    def predictions(self, read: pa.Table, batches: Sequence[BatchSlice]) -> Iterator[tuple[BatchSlice, Any]]:
        whole = span(batches)
        yield whole, self.outputs(read, whole)
