"""Which device an actor computes on: decided by what it was given, never by what it can see."""

from __future__ import annotations

import torch

__all__ = ["device_of"]


def device_of(gpus_per_actor: float, *, cuda_available: bool) -> torch.device:
    """The GPU of an actor that was given one or a part of one; the CPU else, though the node may have GPUs.

    Ray shows an actor its own GPU as the first, but leaves the others visible to an actor that was given none.
    """
    return torch.device("cuda" if gpus_per_actor > 0 and cuda_available else "cpu")
