"""`lora`: low-rank updates of the blocks' linear layers, and a head (Hu et al. 2021); `dora: true` for DoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from raybench.recipes.methods.fine_tuning import FineTuning, FineTuningMethod

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["Lora", "LoraTuning"]


class LoraTuning(FineTuning):
    """`target_modules`: all-linear, or the ends of module names with commas between, such as query,value."""

    learning_rate: float = Field(default=5e-4, gt=0)
    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    dora: bool = False
    target_modules: str = Field(default="all-linear", min_length=1)


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
