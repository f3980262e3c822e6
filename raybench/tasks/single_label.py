"""One label of C a row.

Shapes: B rows, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey, ModelSpec
from raybench.metrics.records import classification_schema
from raybench.metrics.thresholds import HALF, at_threshold
from raybench.tasks.head_labels import order_of_labels
from raybench.tasks.pooled import PooledTask
from raybench.tasks.rows import record_columns, single_chunk
from raybench.tasks.task import Batch, LossOptions, TaskOptions
from raybench.tasks.threshold import ThresholdOptions

if TYPE_CHECKING:
    import torch

__all__ = ["SingleLabel"]


class SingleLabel(PooledTask):
    """Softmax over the dataset's labels."""

    metrics = ("accuracy", "macro_f1", "log_loss", "ece")
    primary = "macro_f1"
    objective: ClassVar[str | None] = "softmax"
    options: ClassVar[type[TaskOptions]] = ThresholdOptions

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        return classification_schema(len(labels))

    def check_labels(self, labels: Sequence[str]) -> str | None:
        if len(labels) == 1:
            return f"every row has the label {labels[0]!r}, so nothing is to be told apart"
        if len(labels) != 2 and getattr(self.settings, "threshold", HALF) != HALF:
            return f"threshold: it tells two labels apart, and there are {len(labels)}; leave it out"
        return None

    def num_outputs(self, dataset: DatasetKey) -> int:
        return len(dataset.labels)

    def targets(self, prepared: pa.Table, dataset: DatasetKey) -> np.ndarray:
        return single_chunk(prepared, "label").to_numpy()

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> tuple[int, ...]:
        return order_of_labels(model, labels, self.head_suffix)

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        from torch.nn.functional import log_softmax

        targets = batch.targets
        log_BC = log_softmax(outputs.float(), dim=-1)
        nll_B = -log_BC.gather(1, targets[:, None]).squeeze(1)
        if options.label_smoothing:
            nll_B = (1 - options.label_smoothing) * nll_B - options.label_smoothing * log_BC.mean(dim=-1)
        if options.class_weights is not None:
            nll_B = nll_B * options.class_weights[targets]
        return nll_B.sum()

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        import torch

        from raybench.metrics.records import classification_records

        target = rows.column("label").combine_chunks()
        labels = torch.from_numpy(target.to_numpy(zero_copy_only=False).copy())
        made = record_columns(rows, target, classification_records(predictions, labels))
        return at_threshold(made, getattr(self.settings, "cut", HALF))  # a user's own task may have other options
