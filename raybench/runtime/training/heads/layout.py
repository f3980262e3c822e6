"""How the parameters of a group lie in memory: padded to whole cache lines, and back to arrays.

Parameters are [weight, bias, …] of all G members: [G, inputs, outputs] and [G, 1, outputs].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from raybench.runtime.training.heads.spec import HeadWeights

__all__ = ["NEVER", "as_arrays", "padded"]

NEVER = -1e30  # the logit of a class that only pads: probability 0, and 0 times it is 0
_LINE = 16  # float32 in 64 bytes
_PARTS = ("weight", "bias")


def padded(size: int) -> int:
    """`size` filled up to whole cache lines."""
    return -(-size // _LINE) * _LINE


def as_arrays(parameters: Sequence[torch.Tensor], sizes: Sequence[int]) -> list[HeadWeights]:
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
