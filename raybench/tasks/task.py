"""What every task is: rows in, tensors for a network, loss, predictions, records for metrics.

    task = get_task("text-classification", task_config)
    prepared = task.prepare(rows, model, max_length=128)     # one row an example, once a (dataset, tokenizer)
    examples = task.examples(prepared, model, dataset)       # views, no copies
    network = task.network(model, dataset, seed=0, own_head=False)
    batch = examples.batch(indices, padded=64, device=device)
    loss = task.loss(network(batch.inputs), batch, LossOptions())      # a sum, of examples.units(indices) terms
    records = task.records(task.predict(network, batch), rows, dataset)

A task of your own subclasses `Task`; what is abstract it must say, what is not it may. A prepared row is an example,
however many model rows that makes (windows, choices): so a batch, a shard and a record never part an example.
Modules of tasks import torch inside functions, so the planner can ask for columns and metrics without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from raybench.core import Column, DatasetKey, ModelSpec
from raybench.core.errors import IncompatibleError, JobError

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from raybench.models.network import Network

__all__ = ["Batch", "Examples", "LossOptions", "Task", "TaskOptions"]


class Batch(NamedTuple):
    """What a network takes, by name, and what its loss compares with; all on one device.

    `rows` is how many model rows each example makes, int64 [examples] on the host; None: one each.
    """

    inputs: dict[str, Any]
    targets: Any
    rows: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOptions:
    """`label_smoothing` in [0, 1); `class_weights` float32 [C] or None."""

    label_smoothing: float = 0.0
    class_weights: torch.Tensor | None = None


class Examples(Protocol):
    """Prepared rows as a network reads them: numpy views of the Arrow buffers."""

    lengths: np.ndarray  # int32 [N]: what decides the bucket; of several model rows the longest
    keys: np.ndarray  # bytes16 [N]: equal keys, equal inputs
    # where an example makes several model rows: rows, int32 [N], how many
    # where a CPU is slower with all rows of a batch at once: together, how many it forwards

    def __len__(self) -> int: ...

    def batch(self, indices: np.ndarray, padded: int, device: torch.device) -> Batch:
        """Examples `indices`, each model row padded to `padded`."""

    def units(self, indices: np.ndarray) -> int:
        """How many terms the loss over these examples has (rows for a classifier, tokens for a tagger)."""

    # where training sees other than scoring: in_epoch(seed, epoch) -> Examples
    # where all ids that any batch may hold are known: occurring_words() -> int64 [U], sorted, each once


class TaskOptions(BaseModel):
    """What a dataset's `task_config` can tell a task; every field has a default. Its other keys are metrics'."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> TaskOptions:
        """Those of the options that are this task's; JobError, whose `key` is the name, for a value that cannot be."""
        try:
            return cls.model_validate({name: value for name, value in config.items() if name in cls.model_fields})
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else ""
            message = first["msg"].removeprefix("Value error, ")
            raise JobError(f"task_config.{name}: {first['input']!r}: {message}", key=(name,)) from error


class Task(ABC):
    """One kind of question, with the options of a dataset; keeps nothing else."""

    name: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    metrics: ClassVar[tuple[str, ...]]  # measured unless the job names others
    primary: ClassVar[str]  # ranks unless the job says otherwise
    options: ClassVar[type[TaskOptions]] = TaskOptions
    objective: ClassVar[str | None] = None  # of a head on pooled features: softmax, sigmoid, squared; None: has none
    own_head_needed: ClassVar[bool] = False  # the checkpoint's whole network is the model: there is no fresh head

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.settings: Any = self.options.read(config or {})

    # --- what is asked, without torch

    def metric_config(self, labels: Sequence[str], task_config: Mapping[str, Any]) -> dict[str, Any]:
        """What metrics must know of the dataset: its labels, and the options that are not the task's."""
        given = {name: value for name, value in task_config.items() if name not in self.options.model_fields}
        return {**given, "labels": list(labels)} if labels else given

    @abstractmethod
    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        """The columns of the records that it leaves for metrics, by which a metric of another task is refused."""

    def check_labels(self, labels: Sequence[str]) -> str | None:
        """Why nothing can be learned from data with these labels, or None."""
        return None

    def default_metrics(self, labels: Sequence[str], statistics: Mapping[str, float]) -> tuple[str, ...]:
        """Measured unless the job names others; `primary` ranks where it is among them, else the first."""
        return self.metrics

    def label_names(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        """The names of the labels: those found in a column of labels, if nothing else is said.

        Raises:
            DataError: rows whose targets cannot be read.
        """
        return tuple(labels)

    def review(self, splits: Mapping[str, pa.Table], labels: Sequence[str]) -> tuple[str, ...]:
        """What a user should know of the rows, in lines; DataError for rows that cannot be read."""
        return ()

    def opened(self) -> dict[str, str]:
        """What the task opens beside the candidates: the option that names it → its fingerprint, part of the dataset's.

        Raises:
            DataError: it cannot be opened.
        """
        return {}

    def scored_rows(self, test: pa.Table) -> pa.Table:
        """The examples that there are scores of: the test rows, if nothing else is said."""
        return test

    def statistics(self, train: pa.Table) -> dict[str, float]:
        """Of the training rows' targets, what every network of the dataset must share, such as mean and deviation."""
        return {}

    # --- rows

    def beside(self, train: pa.Table | None, labels: Sequence[str]) -> Task:
        """The task as it prepares a dataset's rows: one whose prompts hold training rows or labels keeps them."""
        return self

    @abstractmethod
    def processor_key(self, model: ModelSpec) -> str:
        """What decides the prepared rows beside max_length and options; trials of equal keys share them."""

    @abstractmethod
    def prepare(self, rows: pa.Table, model: ModelSpec, max_length: int) -> pa.Table:
        """Rows with the model's inputs in place of the raw ones, `length` int32 and `key` (16 bytes).

        One row an example, in order; where an example makes several model rows, `rows` int32 says how many.
        """

    @abstractmethod
    def examples(self, prepared: pa.Table, model: ModelSpec, dataset: DatasetKey) -> Examples:
        """Prepared rows for reading by index."""

    # --- networks

    @abstractmethod
    def check(self, model: ModelSpec, config: PretrainedConfig) -> None:
        """Raise IncompatibleError when this architecture cannot do the task."""

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> Any:
        """Raise IncompatibleError where the checkpoint has no trained head to score as it is; else what tells which."""
        raise IncompatibleError(f"{self.name}: no checkpoint can be scored as it is; use a method that fits")

    def check_images(self, model: ModelSpec) -> None:
        """Raise IncompatibleError unless the task compares pictures that someone has made."""
        raise IncompatibleError(f"images are compared with real ones by image-generation; {self.name} wants a model")

    def has_own_head(self, model: ModelSpec, labels: Sequence[str]) -> bool:
        """Whether the checkpoint's own head serves."""
        try:
            self.check_own_head(model, labels)
        except IncompatibleError:
            return False
        return True

    @abstractmethod
    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        """A network for the dataset; with `own_head` the checkpoint's trained head where it fits, else a fresh one."""

    def num_outputs(self, dataset: DatasetKey) -> int:
        """K, of a head on pooled features; only of tasks with an `objective`."""
        raise NotImplementedError

    def head_targets(self, examples: Examples) -> np.ndarray:
        """What such a head is compared with: integers [N] of classes, else float32 [N, K]."""
        raise NotImplementedError

    @abstractmethod
    def loss(self, outputs: Any, batch: Batch, options: LossOptions) -> torch.Tensor:
        """The sum of the loss's terms over a batch, float32."""

    def predict(self, network: Network, batch: Batch) -> Any:
        """What `records` reads of a batch's examples: the network's outputs, if nothing else is said.

        Called in inference mode; generation and whatever joins the model rows of one example belong here.
        """
        return network(batch.inputs).float()

    @abstractmethod
    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        """What metrics read, one row an example: `id`, `target` and the task's own columns.

        `predictions` are what `predict` (or a baseline's `outputs`) made of these prepared rows.
        """
