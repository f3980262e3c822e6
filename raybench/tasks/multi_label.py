"""Any number of L labels a row.

Shapes: B rows, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey, ModelSpec
from raybench.metrics.thresholds import at_threshold
from raybench.tasks.head_labels import order_of_labels
from raybench.tasks.pooled import PooledTask
from raybench.tasks.rows import multi_hot, record_columns
from raybench.tasks.task import Batch, LossOptions
from raybench.tasks.threshold import ThresholdOptions

if TYPE_CHECKING:
    import torch

__all__ = ["MultiLabel"]


class MultiLabel(PooledTask):
    """A sigmoid for each of the dataset's labels."""

    metrics = (
        "multilabel_average_precision",
        "multilabel_macro_f1",
        "multilabel_micro_f1",
        "multilabel_exact_match",
    )
    primary = "multilabel_average_precision"
    objective = "sigmoid"
    options = ThresholdOptions

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        return pa.schema(
            {
                "id": pa.string(),
                "targets": pa.list_(pa.int8(), len(labels)),
                "predictions": pa.list_(pa.int8(), len(labels)),
                "scores": pa.list_(pa.float32(), len(labels)),
            }
        )

    def num_outputs(self, dataset: DatasetKey) -> int:
        return len(dataset.labels)

    def targets(self, prepared: pa.Table, dataset: DatasetKey) -> np.ndarray:
        return multi_hot(prepared, "labels", len(dataset.labels)).astype(np.float32)

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> tuple[int, ...]:
        return order_of_labels(model, labels, self.head_suffix, problem="multi_label_classification")

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        from torch.nn.functional import binary_cross_entropy_with_logits

        targets = batch.targets * (1 - options.label_smoothing) + options.label_smoothing / 2
        return binary_cross_entropy_with_logits(outputs.float(), targets, reduction="none").mean(dim=-1).sum()

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        import torch

        from raybench.metrics.records import multilabel_records

        targets = torch.from_numpy(multi_hot(rows, "labels", len(dataset.labels)))
        made = record_columns(rows, None, multilabel_records(predictions, targets))
        return at_threshold(made, self.settings.cut)
