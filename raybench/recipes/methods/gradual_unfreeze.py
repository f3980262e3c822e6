"""`gradual_unfreeze`: the head first, then block after block from the top (ULMFiT, Howard & Ruder 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from raybench.recipes.methods.fine_tuning import FineTuning, FineTuningMethod

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["GradualTuning", "GradualUnfreeze"]

_WHEN = {"head_epochs", "every", "blocks"}  # in an epoch they are the number of open blocks and nothing else


class GradualTuning(FineTuning):
    """After `head_epochs` of the head alone, `blocks` more blocks from the top every `every` epochs."""

    head_epochs: int = Field(default=1, ge=0, description="epochs of the head alone")
    every: int = Field(default=1, ge=1, description="epochs until more is trained")
    blocks: int = Field(default=1, ge=1, description="how many more blocks from the top then")
    layer_decay: float = Field(default=0.9, gt=0, le=1, description="each block below the top learns this much slower")

    def open_blocks(self, epoch: int) -> int:
        """How many blocks from the top are trained in an epoch; more than there are: the embeddings too."""
        return 0 if epoch < self.head_epochs else ((epoch - self.head_epochs) // self.every + 1) * self.blocks


class GradualUnfreeze(FineTuningMethod):
    """Head, then blocks by schedule; with the last block also the embeddings."""

    name = "gradual_unfreeze"
    hyperparameters = GradualTuning

    def unfreeze(self, network: Network, hyperparameters: Any, epoch: int) -> None:
        from raybench.models.layers import find_stacks, train_from_top

        open_blocks = hyperparameters.open_blocks(epoch)
        if not network.head_parameters():  # embeddings have no head to begin with
            open_blocks = max(1, open_blocks)
        everything = open_blocks > max(map(len, find_stacks(network.backbone)))
        if everything:
            network.requires_grad_(True)
        else:
            train_from_top(network, open_blocks)

    def epoch_settings(self, hyperparameters: Any, epoch: int, num_rows: int) -> dict[str, Any]:
        settings = super().epoch_settings(hyperparameters, epoch, num_rows)
        kept = {name: value for name, value in settings.items() if name not in _WHEN}
        return {**kept, "open_blocks": hyperparameters.open_blocks(epoch)}
