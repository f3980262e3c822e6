"""Features on one scale for every backbone, and a layer fitted on them put back on the features as they came.

Shapes: G members, N rows, H features, U units.
"""

from __future__ import annotations

import torch
from torch.nn.functional import pad

from raybench.training.heads.layout import padded

__all__ = ["standard", "unstandard"]


def standard(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Features in float64, centred and divided by one number, and both.

    So a decay or a learning rate means the same for every backbone: 100 rows of BBC on MiniLM's word embeddings gave
    0.90 with it and 0.21 without.
    """
    x_NH = features.double()
    centre_H = x_NH.mean(0)
    x_NH = x_NH - centre_H
    scale = float(x_NH.square().mean().sqrt()) or 1.0
    more = padded(len(centre_H)) - len(centre_H)
    return pad(x_NH / scale, (0, more)), pad(centre_H, (0, more)), scale


def unstandard(
    weight_GHU: torch.Tensor, bias_G1U: torch.Tensor, centre_H: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same layer for features as they came; slices of a batched product, so neighbours do not matter."""
    weight_GHU = weight_GHU / scale
    centre_G1H = centre_H.expand(len(weight_GHU), 1, -1).contiguous()
    return weight_GHU, bias_G1U - torch.bmm(centre_G1H, weight_GHU)
