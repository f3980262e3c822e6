"""`lora`: low-rank updates of the blocks' linear layers, and a head (Hu et al. 2021); `dora: true` for DoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from raybench.recipes.methods.fine_tuning import FineTuning, FineTuningMethod

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["Lora", "LoraTuning"]


class LoraTuning(FineTuning):
    """What is updated, and how."""

    learning_rate: float = Field(default=5e-4, gt=0, description="AdamW's highest")
    rank: int = Field(default=8, ge=1, description="of the update of a matrix")
    alpha: float = Field(default=16.0, gt=0, description="the update is scaled by alpha / rank")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="the share of inputs of an update that is dropped in training"
    )
    dora: bool = Field(default=False, description="direction and length of weights apart (Liu et al. 2024)")
    target_modules: str = Field(
        default="all-linear",
        min_length=1,
        description="all-linear, or the ends of module names with commas between, such as query,value",
    )


class Lora(FineTuningMethod):
    """Adapters in the blocks, through peft."""

    name = "lora"
    hyperparameters = LoraTuning
    shares_base = True

    def attach(self, network: Network, hyperparameters: Any) -> Network:
        from raybench.models.adapters import add_lora

        add_lora(network, hyperparameters)
        return network

    def unfreeze(self, network: Network, hyperparameters: Any, epoch: int) -> None:
        from raybench.models.adapters import train_added

        train_added(network, ("lora_",))
