"""Linear heads as what they are: a convex problem, solved to convergence.

Shapes: G members, N rows, H features, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from raybench.training.heads.layout import NEVER, as_arrays, padded
from raybench.training.heads.spec import HeadSpec, HeadWeights
from raybench.training.heads.standard import standard, unstandard
from raybench.training.heads.targets import smoothed_targets
from raybench.training.lbfgs import minimize

__all__ = ["solve"]


def solve(
    features: torch.Tensor, labels: torch.Tensor, specs: Sequence[HeadSpec], num_labels: int
) -> list[HeadWeights]:
    """Multinomial logistic regression in float64; the bias is not decayed, as in scikit-learn."""
    N, H, C, G = len(features), padded(features.shape[1]), padded(num_labels), len(specs)
    x_NH, centre_H, scale = standard(features)
    x_GNH = x_NH.expand(G, N, H)
    targets_GNC, rows_GN = smoothed_targets(labels, specs, num_labels)
    decay = [1 / N if spec.weight_decay is None else spec.weight_decay for spec in specs]
    decay_G = torch.tensor(decay, dtype=torch.float64, device=features.device)

    def loss(flat_GP: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weight_GHC, bias_G1C = flat_GP[:, : H * C].view(G, H, C), flat_GP[:, H * C :].view(G, 1, C)
        logits_GNC = torch.bmm(x_GNH, weight_GHC) + bias_G1C
        log_GNC = torch.log_softmax(logits_GNC, dim=-1)
        value_G = -(log_GNC * targets_GNC).sum(-1).mul(rows_GN).sum(-1) / N
        value_G = value_G + 0.5 * decay_G * weight_GHC.square().flatten(1).sum(-1)
        error_GNC = (torch.softmax(logits_GNC, dim=-1) - targets_GNC) * rows_GN[:, :, None] / N
        weight_grad = torch.bmm(x_GNH.transpose(1, 2), error_GNC) + decay_G[:, None, None] * weight_GHC
        return value_G, torch.cat([weight_grad.flatten(1), error_GNC.sum(1)], dim=1)

    start = torch.zeros(G, H * C + C, dtype=torch.float64, device=features.device)
    start[:, H * C + num_labels :] = NEVER
    flat = minimize(loss, start, max_steps=500, gradient_tolerance=1e-5)
    weight_GHC, bias_G1C = unstandard(flat[:, : H * C].view(G, H, C), flat[:, H * C :].view(G, 1, C), centre_H, scale)
    return as_arrays([weight_GHC, bias_G1C], [features.shape[1], num_labels])
