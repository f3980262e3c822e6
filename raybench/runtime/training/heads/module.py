"""Fitted weights as a torch module."""

from __future__ import annotations

import numpy as np
import torch

from raybench.runtime.training.heads.spec import HeadWeights

__all__ = ["head_module"]


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
