"""What classifying texts and images have in common: loss, records, metrics, a network with a linear head.

Shapes: B rows, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raybench.core import DatasetKey, ModelSpec
from raybench.metrics.records import classification_schema
from raybench.models.check import find_own_head
from raybench.models.configuration import open_config
from raybench.tasks.task import LossOptions

if TYPE_CHECKING:
    import torch

    from raybench.models.network import Network

__all__ = ["Classification"]


class Classification:
    """One label of C a row. A subclass says what the rows are."""

    name: str
    auto_class: str  # transformers' class for checkpoints with a head

    metrics: tuple[str, ...] = ("accuracy", "macro_f1", "log_loss", "ece")
    primary = "macro_f1"

    def metric_config(self, labels: Sequence[str], task_config: Mapping[str, Any]) -> dict[str, Any]:
        return {**task_config, "labels": list(labels)}

    def record_schema(self, labels: Sequence[str]) -> pa.Schema:
        return classification_schema(len(labels))

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.backbone import open_backbone
        from raybench.models.network import PooledClassifier
        from raybench.models.pooling import pooling_of

        order = find_own_head(model, dataset.labels) if own_head else None
        if order is not None:
            return self._checkpoint_network(model, order, seed)
        backbone = open_backbone(model, seed)
        return PooledClassifier(backbone, pooling_of(model), num_labels=len(dataset.labels), seed=seed)

    def _checkpoint_network(self, model: ModelSpec, order: tuple[int, ...], seed: int) -> Network:
        import transformers

        from raybench.models.backbone import open_pretrained
        from raybench.models.network import CheckpointClassifier

        auto = getattr(transformers, self.auto_class)
        return CheckpointClassifier(open_pretrained(auto, model, open_config(model), seed).eval(), order)

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor, options: LossOptions) -> torch.Tensor:
        from torch.nn.functional import log_softmax

        log_BC = log_softmax(outputs.float(), dim=-1)
        nll_B = -log_BC.gather(1, targets[:, None]).squeeze(1)
        if options.label_smoothing:
            nll_B = (1 - options.label_smoothing) * nll_B - options.label_smoothing * log_BC.mean(dim=-1)
        if options.class_weights is not None:
            nll_B = nll_B * options.class_weights[targets]
        return nll_B

    def records(self, outputs: torch.Tensor, rows: pa.Table) -> pa.Table:
        import torch

        from raybench.metrics.records import classification_records

        target = rows.column("label").combine_chunks()
        labels = torch.from_numpy(target.to_numpy(zero_copy_only=False).copy())
        columns = classification_records(outputs, labels)
        arrays = {"id": rows.column("id").combine_chunks(), "target": target}
        for name, values in columns.items():
            arrays[name] = _column(values)
        return pa.table(arrays)


def _column(values: Any) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
