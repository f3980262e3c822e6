"""`gradual_unfreeze`: the head first, then block after block from the top (ULMFiT, Howard & Ruder 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from raybench.methods.fine_tuning import FineTuning
from raybench.methods.method import Method

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["GradualTuning", "GradualUnfreeze"]


class GradualTuning(FineTuning):
    """After `head_epochs` of the head alone, `blocks` more blocks from the top every `every` epochs."""

    head_epochs: int = Field(default=1, ge=0)
    every: int = Field(default=1, ge=1)
    blocks: int = Field(default=1, ge=1)
    layer_decay: float = Field(default=0.9, gt=0, le=1)


class GradualUnfreeze(Method):
    """Head, then blocks by schedule; with the last block also the embeddings."""

    name = "gradual_unfreeze"
    hyperparameters = GradualTuning

    def unfreeze(self, network: Network, hyperparameters: Any, epoch: int) -> None:
        from raybench.models.layers import find_blocks, train_from_top

        h = hyperparameters
        open_blocks = 0 if epoch < h.head_epochs else ((epoch - h.head_epochs) // h.every + 1) * h.blocks
        everything = open_blocks > len(find_blocks(network.backbone))
        if everything:
            network.requires_grad_(True)
        else:
            train_from_top(network, open_blocks)
