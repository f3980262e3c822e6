"""Convolutions of a network that a CPU only scores with, as its kernels take them fastest: the same sums in another
order, so other last bits.

    ready_convolutions(backbone)        # in place: modules are replaced, parameters never changed

Weights lie with channels last in memory, as pictures do when they are read; else they are brought there at every pass.
A convolution over time is one over pictures of height 1, with channels last too, as the layer norms that mostly follow
want them. A batch norm becomes part of the convolution whose output it reads, a weight norm is computed once.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["ready_convolutions"]

_SIDE = 64  # pixels of the picture by which is seen what follows what: enough for five halvings
_NEAR = 1e-4  # of the largest output: what folding leaves of rounding; a fold that is wrong changes outputs whole


def ready_convolutions(backbone: nn.Module) -> None:
    """Replace convolutions and batch norms by what puts out the same, but for rounding; `backbone` is in eval mode."""
    _fold_batch_norms(backbone)
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and isinstance(child.weight, nn.Parameter):
                child.weight = _fixed(child.weight.detach().contiguous(memory_format=torch.channels_last))
            elif isinstance(child, nn.Conv1d) and _is_plain(child):
                setattr(parent, name, _OverTime(child))


class _OverTime(nn.Conv1d):
    """A convolution of [B, C, T] whose output has channels last in memory, and whose input should have."""

    def __init__(self, conv: nn.Conv1d) -> None:
        size, stride, padding, dilation = conv.kernel_size[0], conv.stride[0], int(conv.padding[0]), conv.dilation[0]
        super().__init__(
            conv.in_channels, conv.out_channels, size, stride, padding, dilation, conv.groups,
            bias=conv.bias is not None, device="meta",
        )  # fmt: skip
        wide = conv.weight.detach()[:, :, None].contiguous(memory_format=torch.channels_last)
        self.weight, self.bias = _fixed(wide), conv.bias
        self.eval()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        wide = input[:, :, None].contiguous(memory_format=torch.channels_last)
        stride, padding, dilation = (1, self.stride[0]), (0, int(self.padding[0])), (1, self.dilation[0])
        return nn.functional.conv2d(wide, self.weight, self.bias, stride, padding, dilation, self.groups)[:, :, 0]


def _is_plain(conv: nn.Conv1d) -> bool:
    """Of one channel there is nothing to put last; a name of padding, or what is not zeros, has no like in 2-D."""
    known = isinstance(conv.weight, nn.Parameter) or parametrize.is_parametrized(conv, "weight")
    return known and conv.in_channels > 1 and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def _fixed(values: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


def _fold_batch_norms(backbone: nn.Module) -> None:
    """Fold those that are seen to read what a convolution puts out, if the network then puts out what it did."""
    takes_pictures = "pixel_values" in inspect.signature(backbone.forward).parameters
    if not takes_pictures or not any(_folds(module) for module in backbone.modules()):
        return
    channels = int(getattr(getattr(backbone, "config", None), "num_channels", 3))
    draw = torch.Generator().manual_seed(0)
    picture = torch.rand((1, channels, _SIDE, _SIDE), generator=draw)
    try:
        pairs, before = _seen(backbone, picture)
    except Exception:  # it reads no pictures of this size: it stays as it is
        return
    fused: dict[nn.Module, nn.Module] = {}
    for norm, conv in pairs.items():
        fused |= {conv: fuse_conv_bn_eval(conv, norm).requires_grad_(False), norm: nn.Identity().eval()}
    _replace(backbone, fused)
    _, after = _seen(backbone, picture)
    if not all(map(_near, before, after)):
        _replace(backbone, {new: old for old, new in fused.items()})


def _convolves(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and type(module).forward is nn.Conv2d.forward


def _folds(module: nn.Module) -> bool:
    return type(module) is nn.BatchNorm2d and module.running_mean is not None


def _seen(backbone: nn.Module, picture: torch.Tensor) -> tuple[dict[Any, Any], list[torch.Tensor]]:
    """Batch norms with the convolution whose very output each read, both called once; what the network put out."""
    made: dict[int, tuple[nn.Module, torch.Tensor]] = {}  # by the output, which is kept so that no other has its id
    read: dict[nn.Module, nn.Module] = {}
    calls: dict[nn.Module, int] = {}

    def put_out(module: nn.Module, args: Any, output: torch.Tensor) -> None:
        calls[module] = calls.get(module, 0) + 1
        made[id(output)] = module, output

    def reads(module: nn.Module, args: Any) -> None:
        calls[module] = calls.get(module, 0) + 1
        if args and id(args[0]) in made:
            read[module] = made[id(args[0])][0]

    hooks = [m.register_forward_hook(put_out) for m in backbone.modules() if _convolves(m)]
    hooks += [m.register_forward_pre_hook(reads) for m in backbone.modules() if _folds(m)]
    try:
        with torch.inference_mode():
            outputs = backbone(pixel_values=picture)
    finally:
        for hook in hooks:
            hook.remove()
    pairs = {norm: conv for norm, conv in read.items() if calls[norm] == calls[conv] == 1}
    return pairs, [value for value in outputs.values() if isinstance(value, torch.Tensor)]


def _near(before: torch.Tensor, after: torch.Tensor) -> bool:
    return torch.allclose(before, after, rtol=0, atol=_NEAR * float(before.abs().max()), equal_nan=True)


def _replace(backbone: nn.Module, by: dict[nn.Module, nn.Module]) -> None:
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if child in by:
                setattr(parent, name, by[child])
