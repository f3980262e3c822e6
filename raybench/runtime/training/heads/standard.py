"""Features on one scale for every backbone, and a layer fitted on them put back on the features as they came.

Shapes: G members, N rows, H features, U units.
"""

from __future__ import annotations

import math

import torch

from raybench.runtime.training.heads.layout import padded

__all__ = ["standard", "unstandard"]

_CHUNK = 4096  # rows squared at once


def standard(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Features in float64, centred and divided by one number, and both; the features padded.

    So a decay or a learning rate means the same for every backbone: 100 rows of BBC on MiniLM's word embeddings gave
    0.90 with it and 0.21 without.
    """
    N, H = features.shape
    x_NH = torch.zeros(N, padded(H), dtype=torch.float64, device=features.device)
    x_NH[:, :H] = features
    centre_H = x_NH.mean(0)
    x_NH -= centre_H
    squares = sum(float(rows[:, :H].square().sum()) for rows in x_NH.split(_CHUNK))
    scale = math.sqrt(squares / (N * H)) or 1.0
    x_NH /= scale
    return x_NH, centre_H, scale


def unstandard(
    weight_GHU: torch.Tensor, bias_G1U: torch.Tensor, centre_H: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same layer for features as they came; slices of a batched product, so neighbours do not matter."""
    weight_GHU = weight_GHU / scale
    centre_G1H = centre_H.expand(len(weight_GHU), 1, -1).contiguous()
    return weight_GHU, bias_G1U - torch.bmm(centre_G1H, weight_GHU)
