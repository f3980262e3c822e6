"""Predictors: what puts out a task's predictions for the rows of a planned batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import torch

from raybench.core import Trial
from raybench.data.batches import BatchSlice
from raybench.tasks.task import Task

__all__ = ["Predictor", "span"]


class Predictor(ABC):
    """Ready to score. `dtype` names the precision of its products."""

    task: Task
    trial: Trial
    dtype: str
    device: torch.device
    saved_seconds: float = 0.0  # that looking up has saved so far

    @property
    def cost(self) -> dict[str, int]:
        """What is known of the cost without a fit: `params_total`, of those `params_trained`; empty for a baseline."""
        return {}

    def read(self, rows: pa.Table) -> Any:
        """Prepared rows as `outputs` wants them."""
        return self.task.examples(rows, self.trial.model, self.trial.dataset)

    @abstractmethod
    def outputs(self, read: Any, batch: BatchSlice, *, fresh: bool = False) -> Any:
        """The task's predictions for one planned batch; `fresh` looks nothing up."""

    def predictions(self, read: Any, batches: Sequence[BatchSlice]) -> Iterator[tuple[BatchSlice, Any]]:
        """Those of adjoining batches: for each, or, where they are tensors of one row an example, for all at once."""
        if self.task.objective is None:
            yield from ((batch, self.outputs(read, batch)) for batch in batches)
        else:
            yield span(batches), torch.cat([self.outputs(read, batch) for batch in batches])

    def flush(self) -> None:  # noqa: B027 - most keep nothing
        """A shard is done: keep for other processes what was computed."""


def span(batches: Sequence[BatchSlice]) -> BatchSlice:
    """Adjoining batches as one."""
    return BatchSlice(batches[0].start, batches[-1].stop, max(batch.padded for batch in batches))
