"""`full`: every parameter is trained, from the checkpoint's own head where it fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raybench.recipes.methods.fine_tuning import FineTuningMethod

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["Full"]


class Full(FineTuningMethod):
    """All parameters, from the first step."""

    name = "full"

    def unfreeze(self, network: Network, hyperparameters: Any, epoch: int) -> None:
        for parameter in network.parameters():
            parameter.requires_grad_(True)
