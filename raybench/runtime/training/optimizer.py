"""AdamW over a network's trained parameters, with the rates and decays that the hyperparameters give each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from raybench.core.errors import IncompatibleError
from raybench.models.layers import find_stacks
from raybench.models.network import Network
from raybench.recipes.methods.fine_tuning import FineTuning

__all__ = ["adamw"]


def adamw(network: Network, trained: Sequence[tuple[str, nn.Parameter]], h: FineTuning) -> torch.optim.Optimizer:
    """One group a distinct (learning rate, decay); biases and norms, which have one dimension, are not decayed."""
    depth = _depths(network) if h.layer_decay < 1 else {}
    head = {id(parameter) for parameter in network.head_parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for _, parameter in trained:
        rate = h.learning_rate * h.layer_decay ** depth.get(id(parameter), 0)
        if id(parameter) in head and h.head_learning_rate is not None:
            rate = h.head_learning_rate
        decay = h.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    listed: list[dict[str, Any]] = [
        {"params": members, "lr": rate, "weight_decay": decay, "initial_lr": rate}
        for (rate, decay), members in groups.items()
    ]
    return torch.optim.AdamW(listed, fused=True)


def _depths(network: Network) -> dict[int, int]:
    """How many blocks lie above a parameter: 0 for the head and what follows the blocks, most for the embeddings."""
    try:
        stacks = find_stacks(network.backbone)
    except IncompatibleError:
        return {}
    inside = {
        id(p): len(blocks) - 1 - i for blocks in stacks for i, block in enumerate(blocks) for p in block.parameters()
    }
    longest = max(map(len, stacks))
    depths = {id(p): 0 for p in network.head_parameters()}
    below = True
    for parameter in network.backbone.parameters():  # in the order of construction: embeddings, blocks, norms
        if id(parameter) in inside:
            below = False
            depths[id(parameter)] = inside[id(parameter)] + 1
        else:
            depths.setdefault(id(parameter), longest + 1 if below else 0)
    return depths
