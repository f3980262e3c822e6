"""A network as it scores: bfloat16 weights, int8 linear layers, a compiled forward pass, convolutions for a CPU."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.backbone import is_encoder, torch_dtype
from raybench.models.compiled import Compiled
from raybench.models.convolutions import ready_convolutions
from raybench.models.network import Network

__all__ = ["scoring_variant", "variant_name"]


def variant_name(model: ModelSpec, compute: str) -> str:
    """What a table says of the precision: of the products, or of the weights where the candidate asks for another."""
    name = compute if model.dtype in ("float32", "fp32") else model.dtype
    return f"{name}, compiled" if model.compile else name


def scoring_variant(network: Network, model: ModelSpec, device: torch.device, compute: torch.dtype) -> Network:
    """The network with the candidate's dtype and compilation; the head stays in float32.

    Where its products will be taken in `compute` of float32 weights (torch.autocast), those are cast once, here, and
    not at every pass: the same bits. On a CPU convolutions of float32 weights are readied for its kernels: other last
    bits than those of the network that is trained.

    Its modules are changed in place, its parameters never: other networks may share them, so one of another dtype
    takes the place of each.

    Raises:
        IncompatibleError: int8 on a device without the kernels, or for DoRA, which reads the weights it adapts.
    """
    network.num_as_opened = network.num_parameters
    if device.type == "cpu" and torch_dtype(model) == torch.float32:
        ready_convolutions(network.backbone)
    if model.dtype == "int8":
        if device.type != "cpu":
            raise IncompatibleError(f"model {model.reference!r}: dtype int8 scores on a CPU; here is {device.type}")
        with warnings.catch_warnings():  # torch.ao moves to torchao; the kernels are the same
            warnings.simplefilter("ignore")
            network.backbone = torch.ao.quantization.quantize_dynamic(network.backbone, _quantised(network, model))
    else:
        _replace_parameters(network.backbone, torch_dtype(model))
        network.backbone.to(torch_dtype(model))  # buffers
    if compute != torch.float32 and torch_dtype(model) == torch.float32:
        _cast_products(network.backbone, compute)
    if model.compile:
        # of an encoder; a decoder's cache is of another shape at every word
        recorded = device.type == "cuda" and is_encoder(network.backbone)
        network.backbone = Compiled(network.backbone, model.reference, recorded=recorded)
    return network


def _cast_products(backbone: nn.Module, dtype: torch.dtype) -> None:
    """Weights of layers that autocast computes in `dtype`; those that are an embedding too stay as they are."""
    from transformers.pytorch_utils import Conv1D

    looked_up = {id(part.weight) for part in backbone.modules() if isinstance(part, nn.Embedding)}
    for part in backbone.modules():
        product = isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | Conv1D)
        if product and id(part.weight) not in looked_up:
            _replace_parameters(part, dtype)


def _quantised(network: Network, model: ModelSpec) -> dict[str, Any]:
    """The linear layers to quantise, by name; adapters stay in float32, where peft reads the dtype of their weights."""
    linear = [name for name, module in network.backbone.named_modules() if isinstance(module, nn.Linear)]
    if any("lora_magnitude_vector" in name for name, _ in network.backbone.named_parameters()):
        raise IncompatibleError(f"model {model.reference!r}: dtype int8 does not go with dora: true; use lora alone")
    return {name: torch.ao.quantization.default_dynamic_qconfig for name in linear if "lora_" not in name}


def _replace_parameters(module: nn.Module, dtype: torch.dtype) -> None:
    """New parameters of `dtype` in place of those of another; one that stands at two places stays one."""
    converted: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if parameter.is_floating_point() and parameter.dtype != dtype:
                if id(parameter) not in converted:
                    converted[id(parameter)] = nn.Parameter(parameter.detach().to(dtype), parameter.requires_grad)
                setattr(part, name, converted[id(parameter)])
