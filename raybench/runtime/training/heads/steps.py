"""Heads trained in steps over shuffled batches, each member with its own order, rate and decay.

Shapes: G members, N rows, B rows of a step, H features, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from raybench.core.identity import seed_from
from raybench.runtime.training.heads.layout import as_arrays, padded
from raybench.runtime.training.heads.objective import Compared, Objective
from raybench.runtime.training.heads.spec import HeadSpec, HeadWeights
from raybench.runtime.training.heads.standard import standard, unstandard

__all__ = ["fit_in_steps"]


def fit_in_steps(
    features: torch.Tensor, objective: Objective, specs: Sequence[HeadSpec], num_outputs: int
) -> list[HeadWeights]:
    """AdamW, or SGD with momentum 0.9, in float32."""
    N = len(features)
    x_NH, centre_H, scale = standard(features)
    x_NH = x_NH.float()
    parameters = _start(specs, features.shape[1], num_outputs, objective.padding, features.device)
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    size, epochs, sgd = min(specs[0].batch_size, N), specs[0].epochs, specs[0].optimizer == "sgd"
    rates = torch.tensor([spec.learning_rate or 0.0 for spec in specs], device=features.device)
    decays = torch.tensor([spec.weight_decay or 0.0 for spec in specs], device=features.device)
    total, step = epochs * math.ceil(N / size), 0
    for epoch in range(epochs):
        order_GN = torch.from_numpy(np.stack([_order(spec, N, epoch) for spec in specs])).to(features.device)
        for begin in range(0, N, size):
            rows_GB = order_GN[:, begin : begin + size]
            gradients = _gradients(parameters, x_NH[rows_GB], objective, objective.drawn(rows_GB))
            step += 1
            rate_G11 = (rates * (1 - (step - 1) / total))[:, None, None]
            for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                decay_G11 = decays[:, None, None] if p.shape[1] > 1 else 0.0  # weights alone
                if sgd:
                    m.mul_(0.9).add_(g + decay_G11 * p)
                    p.sub_(rate_G11 * m)
                    continue
                p.mul_(1 - rate_G11 * decay_G11)
                m.mul_(0.9).add_(g * 0.1)
                v.mul_(0.999).add_(g * g * 0.001)
                p.sub_(rate_G11 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8))
    parameters[:2] = unstandard(parameters[0].double(), parameters[1].double(), centre_H, scale)
    return as_arrays(parameters, [features.shape[1], *([specs[0].hidden] if specs[0].hidden else []), num_outputs])


def _order(spec: HeadSpec, N: int, epoch: int) -> np.ndarray:
    return np.random.default_rng(seed_from("order", spec.seed, spec.data, epoch)).permutation(N)


def _start(specs: Sequence[HeadSpec], H: int, C: int, padding: float, device: torch.device) -> list[torch.Tensor]:
    """[G, H, C] and [G, 1, C], or [G, H, U], [G, 1, U], [G, U, C], [G, 1, C], padded; uniform in ±1/sqrt(inputs)."""
    hidden = specs[0].hidden
    shapes = [(H, hidden), (1, hidden), (hidden, C), (1, C)] if hidden else [(H, C), (1, C)]
    parameters = []
    for place, shape in enumerate(shapes):
        members = []
        for spec in specs:
            generator = torch.Generator().manual_seed(seed_from("head", spec.seed, place))
            drawn = (torch.rand(shape, generator=generator) * 2 - 1) * shape[0] ** -0.5
            members.append(drawn if place % 2 == 0 else torch.zeros(shape))
        inputs, outputs = (padded(shape[0]) if place % 2 == 0 else 1), padded(shape[1])
        last = place == len(shapes) - 1
        parameter = torch.full((len(specs), inputs, outputs), padding if last else 0.0)
        parameter[:, : shape[0], : shape[1]] = torch.stack(members)
        parameters.append(parameter.to(device))
    return parameters


def _gradients(
    parameters: list[torch.Tensor], x_GBH: torch.Tensor, objective: Objective, compared: Compared
) -> list[torch.Tensor]:
    if len(parameters) == 2:
        logits = torch.bmm(x_GBH, parameters[0]) + parameters[1]
        error = _error(logits, objective, compared)
        return [torch.bmm(x_GBH.transpose(1, 2), error), error.sum(1, keepdim=True)]
    before = torch.bmm(x_GBH, parameters[0]) + parameters[1]
    inner = torch.relu(before)
    error = _error(torch.bmm(inner, parameters[2]) + parameters[3], objective, compared)
    back = torch.bmm(error, parameters[2].transpose(1, 2)) * (before > 0)
    return [
        torch.bmm(x_GBH.transpose(1, 2), back),
        back.sum(1, keepdim=True),
        torch.bmm(inner.transpose(1, 2), error),
        error.sum(1, keepdim=True),
    ]


def _error(outputs_GBC: torch.Tensor, objective: Objective, compared: Compared) -> torch.Tensor:
    error_GBC = objective.error(outputs_GBC, compared.targets_GNC)
    return error_GBC * compared.weights_GN[:, :, None] / outputs_GBC.shape[1]
