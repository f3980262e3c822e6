"""The protocol every task keeps: rows in, tensors for a network, loss, records for metrics.

    task = get_task("text-classification")
    prepared = task.prepare(rows, model, max_length=128)     # once a (dataset, tokenizer)
    examples = task.examples(prepared, model)                # views, no copies
    network = task.network(model, dataset, seed=0)
    batch = examples.batch(indices, padded=64, device=device)
    loss = task.losses(network(batch.inputs), batch.targets, options).sum()
    records = task.records(network(batch.inputs), rows)

Modules of tasks import torch inside functions, so the planner can ask for columns and metrics without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from raybench.core import Column, DatasetKey, ModelSpec

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.network import Network

__all__ = ["Batch", "Examples", "LossOptions", "Task"]


class Batch(NamedTuple):
    """What a network takes, by name, and what its loss compares with; all on one device."""

    inputs: dict[str, torch.Tensor]
    targets: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOptions:
    """`label_smoothing` in [0, 1); `class_weights` float32 [C] or None."""

    label_smoothing: float = 0.0
    class_weights: torch.Tensor | None = None


class Examples(Protocol):
    """Prepared rows as a network reads them: numpy views of the Arrow buffers."""

    lengths: np.ndarray  # int32 [N]: what decides the bucket
    keys: np.ndarray  # bytes16 [N]: equal keys, equal inputs

    def __len__(self) -> int: ...

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """Rows `indices`, each padded to `padded`."""

    def units(self, indices: np.ndarray) -> int:
        """How many terms the loss over these rows has (rows for a classifier, tokens for a tagger)."""


class Task(Protocol):
    """One kind of question. Stateless."""

    name: str
    columns: tuple[Column, ...]
    metrics: tuple[str, ...]
    primary: str

    def metric_config(self, labels: Sequence[str], task_config: Mapping[str, Any]) -> dict[str, Any]:
        """What metrics must know of the dataset."""

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        """The columns of the records that it leaves for metrics, by which a metric of another task is refused."""

    def processor_key(self, model: ModelSpec) -> str:
        """What decides the prepared rows beside max_length; trials of equal keys share them."""

    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        """Rows with the model's inputs in place of the raw ones, `length` int32 and `key` (16 bytes)."""

    def examples(self, prepared: pa.Table, model: ModelSpec) -> Examples:
        """Prepared rows for reading by index."""

    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        """Raise IncompatibleError when this architecture cannot do the task."""

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        """A network for the dataset; with `own_head` the checkpoint's trained head where it fits, else a fresh one."""

    def losses(self, outputs: torch.Tensor, targets: Any, options: LossOptions) -> torch.Tensor:
        """One loss a row, float32."""

    def records(self, outputs: torch.Tensor, rows: pa.Table) -> pa.Table:
        """What metrics read, one row an example: `id`, `target` and the task's own columns."""
