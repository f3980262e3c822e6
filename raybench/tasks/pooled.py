"""Tasks whose answer comes from one vector a row: pooled hidden states and a linear head, or the checkpoint's own head.

A question (`single_label`, `multi_label`, `regression`) says what the outputs mean, `text` and `image` say what rows
are; a task is one of each.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey, ModelSpec
from raybench.models.configuration import open_config
from raybench.tasks.task import Examples, Task

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["PooledTask"]


class PooledTask(Task):
    """One vector a row, K outputs a row."""

    auto_class: ClassVar[str]  # transformers' class for checkpoints with a head
    head_suffix: ClassVar[str | tuple[str, ...]]  # what the names of such checkpoints' architectures end in

    @abstractmethod
    def num_outputs(self, dataset: DatasetKey) -> int: ...

    @abstractmethod
    def targets(self, prepared: pa.Table, dataset: DatasetKey) -> np.ndarray:
        """What the loss compares with: int64 [N] of classes, or float32 [N, K]."""

    @abstractmethod
    def check_own_head(self, model: ModelSpec, labels: Sequence[str]) -> tuple[int, ...]:
        """Which of the own head's outputs are the dataset's, in its order."""

    def head_targets(self, examples: Examples) -> np.ndarray:
        targets: np.ndarray = examples.targets  # type: ignore[attr-defined]
        return targets

    def network(self, model: ModelSpec, dataset: DatasetKey, seed: int, *, own_head: bool) -> Network:
        from raybench.models.backbone import open_backbone
        from raybench.models.network import PooledNetwork
        from raybench.models.pooling import pooling_of

        if own_head and self.has_own_head(model, dataset.labels):
            return self.own_network(model, self.check_own_head(model, dataset.labels), dataset, seed)
        backbone = open_backbone(model, seed)
        return PooledNetwork(backbone, pooling_of(model), num_outputs=self.num_outputs(dataset), seed=seed)

    def own_network(self, model: ModelSpec, order: tuple[int, ...], dataset: DatasetKey, seed: int) -> Network:
        """The checkpoint with the head it was saved with."""
        import transformers

        from raybench.models.backbone import open_pretrained
        from raybench.models.network import CheckpointNetwork

        auto = getattr(transformers, self.auto_class)
        return CheckpointNetwork(open_pretrained(auto, model, open_config(model), seed).eval(), order)
