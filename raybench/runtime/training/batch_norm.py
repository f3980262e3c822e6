"""Batch norms after a fit: running statistics over the training rows as the trained network sees them.

While a network is trained they are a moving average over networks that are no more: after a hundred steps of momentum
0.1 they still lag behind, and a small network from scratch that tells its training batches apart scores below the
commonest label (Wu and Johnson 2021, arXiv:2105.07576, "precise" statistics).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

__all__ = ["batch_norms", "settle_batch_norms"]

_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def batch_norms(network: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm]:
    """Those that keep running statistics."""
    return [module for module in network.modules() if isinstance(module, _KINDS) and module.track_running_stats]


@torch.no_grad()
def settle_batch_norms(network: nn.Module, forwards: Iterable[Callable[[], object]]) -> None:
    """Statistics as the mean over forward passes, in place; leaves the network in eval mode."""
    norms = batch_norms(network)
    network.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a mean over all passes
        norm.train()
    for forward in forwards:
        forward()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
