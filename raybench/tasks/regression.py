"""One number a row; networks and heads learn it in standard deviations from the training rows' mean.

Shapes: B rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey, ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import from_scratch, open_config
from raybench.tasks.head_labels import saved_with_head
from raybench.tasks.pooled import PooledTask
from raybench.tasks.rows import single_chunk
from raybench.tasks.task import Batch, LossOptions

if TYPE_CHECKING:
    import torch

    from raybench.models.network import Network

__all__ = ["Regression"]


class Regression(PooledTask):
    """Least squares."""

    metrics = ("spearman", "rmse", "mae", "r2")
    primary = "spearman"
    objective = "squared"

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        return pa.schema({"id": pa.string(), "target": pa.float64(), "prediction": pa.float64()})

    def statistics(self, train: pa.Table) -> dict[str, float]:
        values = train.column("value").to_numpy()
        return {"mean": float(values.mean()), "std": float(values.std()) or 1.0}

    def num_outputs(self, dataset: DatasetKey) -> int:
        return 1

    def targets(self, prepared: pa.Table, dataset: DatasetKey) -> np.ndarray:
        mean, std = _scale(dataset)
        values = single_chunk(prepared, "value").to_numpy()
        return ((values - mean) / std).astype(np.float32)[:, None]

    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> tuple[int, ...]:
        config = open_config(model)
        if from_scratch(model) or not saved_with_head(config, self.head_suffix) or config.num_labels != 1:
            raise IncompatibleError(
                f"model {model.reference!r}: no trained head of one output to score as it is; "
                "method 'frozen' or 'full' would train one"
            )
        return (0,)

    def own_network(self, model: ModelSpec, order: tuple[int, ...], dataset: DatasetKey, seed: int) -> Network:
        from torch import nn

        from raybench.models.network import Standardized

        network = super().own_network(model, order, dataset, seed)
        network.head = nn.Sequential(network.head, Standardized(*_scale(dataset)))
        return network

    def loss(self, outputs: torch.Tensor, batch: Batch, options: LossOptions) -> torch.Tensor:
        return (outputs.float() - batch.targets).square().sum()

    def records(self, predictions: Any, rows: pa.Table, dataset: DatasetKey) -> pa.Table:
        mean, std = _scale(dataset)
        values = predictions.double().cpu().numpy()[:, 0] * std + mean
        target = rows.column("value").combine_chunks()
        return pa.table({"id": rows.column("id").combine_chunks(), "target": target, "prediction": pa.array(values)})


def _scale(dataset: DatasetKey) -> tuple[float, float]:
    """Mean and deviation of the training rows; 0 and 1 where there are none."""
    return dataset.statistics.get("mean", 0.0), dataset.statistics.get("std", 1.0)
