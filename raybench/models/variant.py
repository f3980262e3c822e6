"""Variants of a candidate for scoring: bfloat16 weights, int8 linear layers, a compiled forward pass."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.errors import IncompatibleError
from raybench.models.backbone import torch_dtype
from raybench.models.compiled import Compiled
from raybench.models.network import Network

__all__ = ["scoring_variant", "variant_name"]


def variant_name(model: ModelSpec, compute: str) -> str:
    """What a table says of the precision: of the products, or of the weights where the candidate asks for another."""
    name = compute if model.dtype in ("float32", "fp32") else model.dtype
    return f"{name}, compiled" if model.compile else name


def scoring_variant(network: Network, model: ModelSpec, device: torch.device) -> Network:
    """The network with the candidate's dtype and compilation, changed in place; the head stays in float32.

    Raises:
        IncompatibleError: int8 on a device without the kernels.
    """
    if model.dtype == "int8":
        if device.type != "cpu":
            raise IncompatibleError(f"model {model.reference!r}: dtype int8 scores on a CPU; here is {device.type}")
        network.num_before_quantising = network.num_parameters
        with warnings.catch_warnings():  # torch.ao moves to torchao; the kernels are the same
            warnings.simplefilter("ignore")
            network.backbone = torch.ao.quantization.quantize_dynamic(network.backbone, {nn.Linear}, dtype=torch.qint8)
    else:
        network.backbone.to(torch_dtype(model))
    if model.compile:
        network.backbone = Compiled(network.backbone, model.reference)
    return network
