"""A network whose outputs are embeddings: pooled hidden states, as the checkpoint was made to give them.

    embed_network = EmbeddingNetwork(backbone, pooling_of(model))

Shapes: B rows, H features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from raybench.models.backbone import feature_size
from raybench.models.network import PooledNetwork

__all__ = ["EmbeddingNetwork", "ProjectedEmbeddings"]


class EmbeddingNetwork(PooledNetwork):
    """float32 [B, H]; nothing is put on top of them, so a method that trains changes the backbone alone."""

    def __init__(self, backbone: nn.Module, pooling: str) -> None:
        super().__init__(backbone, pooling, num_outputs=1, seed=0)
        self.head = nn.Identity()
        self._kept = _Kept()

    def once(self, key: bytes, embed: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What `embed` makes, such as the embeddings of a corpus; made again only when the key or a weight changed."""
        weights = tuple((parameter.data_ptr(), parameter._version) for parameter in self.parameters())
        made_of = (key, weights, torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda"))
        if self._kept.value is None or self._kept.made_of != made_of:
            self._kept.made_of, self._kept.value = made_of, embed()
        return self._kept.value

    def draw(self, seed: int) -> None:
        return  # all of it came with the checkpoint


class ProjectedEmbeddings(EmbeddingNetwork):
    """Embeddings through a square matrix that training starts from the identity: as it is opened it has none."""

    def draw(self, seed: int) -> None:
        self.head = nn.Linear(feature_size(self.backbone), feature_size(self.backbone), bias=False)
        nn.init.eye_(self.head.weight)


class _Kept:
    """The last embeddings and what they are of; a copy of the network, which may be trained, begins without."""

    def __init__(self) -> None:
        self.made_of: Any = None
        self.value: torch.Tensor | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> _Kept:
        return _Kept()
