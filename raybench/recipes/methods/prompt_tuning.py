"""`prompt_tuning`: learned vectors beside the row's own embeddings, and a head (Lester et al. 2021; VPT for images)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from raybench.recipes.methods.fine_tuning import FineTuning, FineTuningMethod

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["PromptTuning", "VirtualTokens"]


class VirtualTokens(FineTuning):
    """How many positions are learned."""

    learning_rate: float = Field(default=5e-3, gt=0, description="AdamW's highest")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's")
    num_tokens: int = Field(default=8, ge=1, description="learned positions")


class PromptTuning(FineTuningMethod):
    """Positions before the first block; peft's for texts, added after the patches for images."""

    name = "prompt_tuning"
    hyperparameters = VirtualTokens
    shares_base = True

    def attach(self, network: Network, hyperparameters: Any) -> Network:
        from raybench.models.prompts import add_prompt

        add_prompt(network, hyperparameters.num_tokens, deep=False)
        return network

    def unfreeze(self, network: Network, hyperparameters: Any, epoch: int) -> None:
        from raybench.models.adapters import train_added

        train_added(network, ("prompt_encoder.", "virtual_tokens."))
