"""Linear heads as what they are: a convex problem, solved to convergence.

Rows are taken in chunks, so that logits and errors of all members need little memory however many rows and classes
there are, and stay near the processor. A chunk's size depends on the number of classes alone: no neighbour changes it.
Shapes: G members, N rows of a chunk, H features, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from raybench.runtime.training.heads.layout import as_arrays, padded
from raybench.runtime.training.heads.objective import Objective
from raybench.runtime.training.heads.spec import HeadSpec, HeadWeights
from raybench.runtime.training.heads.standard import standard, unstandard
from raybench.runtime.training.lbfgs import minimize

__all__ = ["solve"]

_LOGITS = 65536  # of a member at once: 4,096 rows of up to 16 classes
_FEWEST_ROWS = 512


def solve(
    features: torch.Tensor, objective: Objective, specs: Sequence[HeadSpec], num_outputs: int
) -> list[HeadWeights]:
    """Multinomial logistic regression, one a label, or ridge, in float64; no bias is decayed, as in scikit-learn."""
    num_rows, H, C, G = len(features), padded(features.shape[1]), padded(num_outputs), len(specs)
    chunk = max(_FEWEST_ROWS, _LOGITS // C)
    x, centre_H, scale = standard(features)
    decay = [1 / num_rows if spec.weight_decay is None else spec.weight_decay for spec in specs]
    decay_G = torch.tensor(decay, dtype=torch.float64, device=features.device)

    def loss(flat_GP: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weight_GHC, bias_G1C = flat_GP[:, : H * C].view(G, H, C), flat_GP[:, H * C :].view(G, 1, C)
        value_G = torch.zeros(G, dtype=torch.float64, device=flat_GP.device)
        weight_grad, bias_grad = torch.zeros_like(weight_GHC), torch.zeros_like(bias_G1C)
        for first in range(0, num_rows, chunk):
            x_GNH = x[first : first + chunk].expand(G, -1, -1)
            targets_GNC, rows_GN = objective.rows(slice(first, first + chunk))
            outputs_GNC = torch.bmm(x_GNH, weight_GHC) + bias_G1C
            value_G += objective.loss(outputs_GNC, targets_GNC).mul(rows_GN).sum(-1)
            error_GNC = objective.error(outputs_GNC, targets_GNC) * rows_GN[:, :, None] / num_rows
            weight_grad += torch.bmm(x_GNH.transpose(1, 2), error_GNC)
            bias_grad += error_GNC.sum(1, keepdim=True)
        value_G = value_G / num_rows + 0.5 * decay_G * weight_GHC.square().flatten(1).sum(-1)
        weight_grad += decay_G[:, None, None] * weight_GHC
        return value_G, torch.cat([weight_grad.flatten(1), bias_grad.flatten(1)], dim=1)

    start = torch.zeros(G, H * C + C, dtype=torch.float64, device=features.device)
    start[:, H * C + num_outputs :] = objective.padding
    flat = minimize(loss, start, max_steps=500, gradient_tolerance=1e-5)
    weight_GHC, bias_G1C = unstandard(flat[:, : H * C].view(G, H, C), flat[:, H * C :].view(G, 1, C), centre_H, scale)
    return as_arrays([weight_GHC, bias_G1C], [features.shape[1], num_outputs])
