"""`prefix`: learned keys and values for every block's attention, and a head (Li & Liang 2021; deep VPT for images)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raybench.recipes.methods.fine_tuning import FineTuningMethod
from raybench.recipes.methods.prompt_tuning import VirtualTokens

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["Prefix"]


class Prefix(FineTuningMethod):
    """peft's prefix tuning for texts; learned positions before every block for images."""

    name = "prefix"
    hyperparameters = VirtualTokens
    shares_base = True

    def attach(self, network: Network, hyperparameters: Any) -> Network:
        from raybench.models.prompts import add_prompt

        add_prompt(network, hyperparameters.num_tokens, deep=True)
        return network

    def unfreeze(self, network: Network, hyperparameters: Any, epoch: int) -> None:
        from raybench.models.adapters import train_added

        train_added(network, ("prompt_encoder.", "virtual_tokens."))
