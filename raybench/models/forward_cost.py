"""What a forward pass costs, told from a configuration alone: enough to send the costliest fit first."""

from __future__ import annotations

from raybench.core import ModelSpec
from raybench.models.configuration import open_config

__all__ = ["forward_cost"]


def forward_cost(model: ModelSpec) -> float:
    """Multiplications a token, about: 12·layers·hidden² of a transformer (Kaplan et al. 2020), 0 without a model.

    An architecture that does not say its sizes counts as BERT-base, for a guess too high only starts it sooner.
    """
    if model.baseline is not None or model.images is not None:
        return 0.0
    config = open_config(model)
    if model.pooling == "static":
        return 0.0
    layers = model.num_layers or getattr(config, "num_hidden_layers", None) or 12
    hidden = getattr(config, "hidden_size", None) or 768
    return float(12 * layers * hidden**2)
