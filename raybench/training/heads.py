"""Heads fitted on fixed features, several at once in groups of a fixed size.

    weights = fit_heads(features_NH, labels_N, [HeadSpec(...), HeadSpec(...)], num_labels=5)

A head comes out with the same bits alone or among others: every group has GROUP members (a smaller one is filled
up with copies of its first); a slice of a batched product does not depend on the other slices as long as all slices
are equally aligned (measured on CPU: without that, slices 0 and 4 of 13 × 7 floats agreed and no others), so H, U and
C are padded with zeros to whole cache lines; and elementwise steps are single IEEE operations, because fused ones
(`addcmul`, `add` with alpha) round the last elements of an
array, which are not vectorised, differently from the others.

Shapes: G members, N rows, H features, U hidden units, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import one_hot, pad

from raybench.errors import DivergedError
from raybench.identity import seed_from
from raybench.training.lbfgs import minimize

__all__ = ["GROUP", "HeadSpec", "HeadWeights", "class_weights", "fit_heads", "head_module"]

GROUP = 8
_LINE = 16  # float32 in 64 bytes
_NEVER = -1e30  # the logit of a class that only pads: probability 0, and 0 times it is 0

HeadWeights = Mapping[str, np.ndarray]
"""`head.weight` [C, H] and `head.bias` [C], float32; with a hidden layer `head.0.*` and `head.2.*`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSpec:
    """One head to fit. `learning_rate` None: solved by L-BFGS."""

    seed: int
    data: str  # the dataset's fingerprint, for the order of batches
    learning_rate: float | None = None
    weight_decay: float | None = None
    hidden: int = 0
    epochs: int = 100
    batch_size: int = 32
    optimizer: str = "adamw"
    label_smoothing: float = 0.0
    balanced: bool = False

    @property
    def group(self) -> tuple[object, ...]:
        """Heads of equal groups can be fitted in one computation."""
        if self.learning_rate is None:
            return ("lbfgs",)
        return ("steps", self.hidden, self.epochs, self.batch_size, self.optimizer)


def class_weights(labels: np.ndarray, num_labels: int) -> np.ndarray:
    """float32 [C]: N / (present classes · count), which averages to 1 over the rows; 0 for absent classes."""
    counts = np.bincount(labels, minlength=num_labels)
    present = counts > 0
    weights = np.where(present, len(labels) / (present.sum() * np.maximum(counts, 1)), 0.0)
    return weights.astype(np.float32)


def fit_heads(
    features: torch.Tensor, labels: torch.Tensor, specs: Sequence[HeadSpec], *, num_labels: int
) -> list[HeadWeights | DivergedError]:
    """Fit every head on float32 features [N, H] and int64 labels [N]; a head that diverged is its error."""
    results: list[HeadWeights | DivergedError] = [DivergedError("not fitted")] * len(specs)
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, spec in enumerate(specs):
        groups.setdefault(spec.group, []).append(index)
    for kind, members in groups.items():
        fit = _solve if kind[0] == "lbfgs" else _step
        for start in range(0, len(members), GROUP):
            chunk = members[start : start + GROUP]
            filled = [specs[i] for i in chunk] + [specs[chunk[0]]] * (GROUP - len(chunk))
            for index, weights in zip(chunk, fit(features, labels, filled, num_labels), strict=False):
                finite = all(np.isfinite(array).all() for array in weights.values())
                results[index] = weights if finite else DivergedError("the head's weights became NaN or infinite")
    return results


def _targets(labels: torch.Tensor, specs: Sequence[HeadSpec], num_labels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Smoothed targets [G, N, C] and row weights [G, N], float64."""
    one_hot_NC = one_hot(labels, _padded(num_labels)).double()
    smoothing_G = torch.tensor([spec.label_smoothing for spec in specs], dtype=torch.float64, device=labels.device)
    targets = one_hot_NC * (1 - smoothing_G)[:, None, None]
    targets[:, :, :num_labels] += (smoothing_G / num_labels)[:, None, None]
    balanced = torch.from_numpy(class_weights(labels.cpu().numpy(), num_labels)).double().to(labels.device)[labels]
    rows = torch.stack([balanced if spec.balanced else torch.ones_like(balanced) for spec in specs])
    return targets, rows


def _solve(
    features: torch.Tensor, labels: torch.Tensor, specs: Sequence[HeadSpec], num_labels: int
) -> list[HeadWeights]:
    """Multinomial logistic regression in float64; the bias is not decayed, as in scikit-learn."""
    N, H, C, G = len(features), _padded(features.shape[1]), _padded(num_labels), len(specs)
    x_NH, centre_H, scale = _standard(features)
    x_GNH = x_NH.expand(G, N, H)
    targets_GNC, rows_GN = _targets(labels, specs, num_labels)
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
    start[:, H * C + num_labels :] = _NEVER
    flat = minimize(loss, start, max_steps=500, gradient_tolerance=1e-5)
    weight_GHC, bias_G1C = _unstandard(flat[:, : H * C].view(G, H, C), flat[:, H * C :].view(G, 1, C), centre_H, scale)
    return _arrays([weight_GHC, bias_G1C], [features.shape[1], num_labels])


def _step(
    features: torch.Tensor, labels: torch.Tensor, specs: Sequence[HeadSpec], num_labels: int
) -> list[HeadWeights]:
    """AdamW or SGD over shuffled batches, each member with its own order, rate and decay, in float32."""
    N, G = len(features), len(specs)
    x_double_NH, centre_H, scale = _standard(features)
    x_NH = x_double_NH.float()
    targets_GNC, rows_GN = (part.float() for part in _targets(labels, specs, num_labels))
    parameters = _start(specs, features.shape[1], num_labels, features.device)
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    size, epochs, sgd = min(specs[0].batch_size, N), specs[0].epochs, specs[0].optimizer == "sgd"
    rates = torch.tensor([spec.learning_rate or 0.0 for spec in specs], device=features.device)
    decays = torch.tensor([spec.weight_decay or 0.0 for spec in specs], device=features.device)
    members = torch.arange(G, device=features.device)[:, None]
    total, step = epochs * math.ceil(N / size), 0
    for epoch in range(epochs):
        order_GN = torch.from_numpy(np.stack([_order(spec, N, epoch) for spec in specs])).to(features.device)
        for begin in range(0, N, size):
            rows_GB = order_GN[:, begin : begin + size]
            gradients = _gradients(parameters, x_NH[rows_GB], targets_GNC[members, rows_GB], rows_GN[members, rows_GB])
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
    parameters[:2] = _unstandard(parameters[0].double(), parameters[1].double(), centre_H, scale)
    return _arrays(parameters, [features.shape[1], *([specs[0].hidden] if specs[0].hidden else []), num_labels])


def _standard(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Features in float64, centred and divided by one number, and both, so that a decay or a learning rate means
    the same for every backbone: 100 rows of BBC on MiniLM's word embeddings gave 0.90 with it and 0.21 without.
    """
    x_NH = features.double()
    centre_H = x_NH.mean(0)
    x_NH = x_NH - centre_H
    scale = float(x_NH.square().mean().sqrt()) or 1.0
    more = _padded(len(centre_H)) - len(centre_H)
    return pad(x_NH / scale, (0, more)), pad(centre_H, (0, more)), scale


def _unstandard(
    weight_GHU: torch.Tensor, bias_G1U: torch.Tensor, centre_H: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same layer for features as they came; slices of a batched product, so neighbours do not matter."""
    weight_GHU = weight_GHU / scale
    centre_G1H = centre_H.expand(len(weight_GHU), 1, -1).contiguous()
    return weight_GHU, bias_G1U - torch.bmm(centre_G1H, weight_GHU)


def _arrays(parameters: Sequence[torch.Tensor], sizes: Sequence[int]) -> list[HeadWeights]:
    """[weight, bias, …] of all members ([G, inputs, outputs] and [G, 1, outputs], padded) as arrays of `sizes`."""
    names = ["head.weight", "head.bias"] if len(parameters) == 2 else [f"head.{i}.{p}" for i in (0, 2) for p in _PARTS]
    host = []
    for place, parameter in enumerate(parameters):
        inputs, outputs = sizes[place // 2], sizes[place // 2 + 1]
        host.append(parameter[:, :inputs, :outputs].float().transpose(1, 2).cpu().numpy())
    return [
        {
            name: np.ascontiguousarray(array[member] if name.endswith("weight") else array[member, :, 0])
            for name, array in zip(names, host, strict=True)
        }
        for member in range(len(host[0]))
    ]


_PARTS = ("weight", "bias")


def _order(spec: HeadSpec, N: int, epoch: int) -> np.ndarray:
    return np.random.default_rng(seed_from("order", spec.seed, spec.data, epoch)).permutation(N)


def _start(specs: Sequence[HeadSpec], H: int, C: int, device: torch.device) -> list[torch.Tensor]:
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
        inputs, outputs = (_padded(shape[0]) if place % 2 == 0 else 1), _padded(shape[1])
        last = place == len(shapes) - 1
        parameter = torch.full((len(specs), inputs, outputs), _NEVER if last else 0.0)
        parameter[:, : shape[0], : shape[1]] = torch.stack(members)
        parameters.append(parameter.to(device))
    return parameters


def _padded(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _gradients(
    parameters: list[torch.Tensor], x_GBH: torch.Tensor, targets_GBC: torch.Tensor, rows_GB: torch.Tensor
) -> list[torch.Tensor]:
    if len(parameters) == 2:
        logits = torch.bmm(x_GBH, parameters[0]) + parameters[1]
        error = _error(logits, targets_GBC, rows_GB)
        return [torch.bmm(x_GBH.transpose(1, 2), error), error.sum(1, keepdim=True)]
    before = torch.bmm(x_GBH, parameters[0]) + parameters[1]
    inner = torch.relu(before)
    error = _error(torch.bmm(inner, parameters[2]) + parameters[3], targets_GBC, rows_GB)
    back = torch.bmm(error, parameters[2].transpose(1, 2)) * (before > 0)
    return [
        torch.bmm(x_GBH.transpose(1, 2), back),
        back.sum(1, keepdim=True),
        torch.bmm(inner.transpose(1, 2), error),
        error.sum(1, keepdim=True),
    ]


def _error(logits: torch.Tensor, targets_GBC: torch.Tensor, rows_GB: torch.Tensor) -> torch.Tensor:
    return (torch.softmax(logits, dim=-1) - targets_GBC) * rows_GB[:, :, None] / logits.shape[1]


def head_module(arrays: HeadWeights) -> torch.nn.Module:
    """Fitted weights as a module that takes features [B, H] to logits [B, C]."""
    layers: list[torch.nn.Module] = []
    weights = [name for name in sorted(arrays) if name.endswith("weight")]
    for name in weights:
        outputs, inputs = arrays[name].shape
        layer = torch.nn.Linear(inputs, outputs)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(np.array(arrays[name])))
            layer.bias.copy_(torch.from_numpy(np.array(arrays[name.replace("weight", "bias")])))
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])
