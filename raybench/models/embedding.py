"""A network whose outputs are embeddings: pooled hidden states, as the checkpoint was made to give them.

    check_embeddings(model)                                     # IncompatibleError where that is not what it says
    embed_network = EmbeddingNetwork(backbone, pooling_of(model))

Shapes: B rows, H features.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.backbone import feature_size
from raybench.models.files import model_directory
from raybench.models.network import PooledNetwork
from raybench.models.pooling import POOLINGS, saved_pooling

__all__ = ["EmbeddingNetwork", "ProjectedEmbeddings", "check_embeddings"]

_READ = {"", "cls", "mean", "max", "lasttoken"}
_STEPS = {"Transformer", "Pooling", "Normalize"}  # of a sentence-transformers checkpoint; cosines are of unit length


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


def check_embeddings(model: ModelSpec) -> None:
    """IncompatibleError where a checkpoint's embeddings are more, or pooled otherwise, than what is read here."""
    if model.pooling == "auto" and (saved := saved_pooling(model)) not in _READ:
        choices = ", ".join(name for name in POOLINGS if name != "auto")
        raise IncompatibleError(
            f"model {model.reference!r}: its embeddings are pooled by {saved}, which is not read; "
            f"pooling: {choices} would be"
        )
    directory = model_directory(model, weights=False)
    steps = directory / "modules.json" if directory is not None else None
    if steps is None or not steps.is_file():
        return
    try:
        kinds = [str(step["type"]).rsplit(".", 1)[-1] for step in json.loads(steps.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise IncompatibleError(f"{steps} is torn or no list of modules; copy it anew") from error
    if unread := [kind for kind in kinds if kind not in _STEPS]:
        raise IncompatibleError(
            f"model {model.reference!r}: its embeddings go through a {unread[0]} layer (modules.json); that is not read"
        )
