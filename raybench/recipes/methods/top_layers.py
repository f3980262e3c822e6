"""`top_layers`: the head and the last k blocks are trained, all below stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import layer_attribute, open_config
from raybench.recipes.methods.fine_tuning import FineTuning, FineTuningMethod

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["TopLayers", "TopLayersTuning"]


class TopLayersTuning(FineTuning):
    """Which blocks are trained."""

    layers: int = Field(
        default=2, ge=0, description="how many of the last blocks are trained; 0: the head alone, in steps"
    )


class TopLayers(FineTuningMethod):
    """Head, last k blocks and what follows them (a closing norm)."""

    name = "top_layers"
    hyperparameters = TopLayersTuning

    def check(self, model: ModelSpec, hyperparameters: Mapping[str, Any]) -> None:
        config = open_config(model)
        name = layer_attribute(config)
        total = getattr(config, name) if name is not None else None
        if total is not None and hyperparameters["layers"] > total:
            raise IncompatibleError(
                f"model {model.reference!r}: top_layers wants the last {hyperparameters['layers']} layers, "
                f"and there are {total}; 0 to {total} would do"
            )

    def unfreeze(self, network: Network, hyperparameters: Any, epoch: int) -> None:
        from raybench.models.layers import train_from_top

        train_from_top(network, hyperparameters.layers)
