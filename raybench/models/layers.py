"""A backbone's repeated blocks, found by shape and not by a table of architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from raybench.core.errors import IncompatibleError

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["find_blocks", "find_stacks", "train_from_top"]


def find_blocks(backbone: nn.Module) -> nn.ModuleList:
    """The outermost and longest list of modules: BERT's layers, ViT's, GPT's, ResNet's and ConvNeXt's stages.

    Lists without a linear layer inside (the convolutions that wav2vec 2.0 begins with) give way to those with some.

    Raises:
        IncompatibleError: the architecture has no such list.
    """
    level: list[nn.Module] = [backbone]
    while level:
        children = [child for module in level for child in module.children()]
        lists = [child for child in children if isinstance(child, nn.ModuleList) and len(child) > 0]
        if lists:
            return max(lists, key=lambda one: (any(isinstance(part, nn.Linear) for part in one.modules()), len(one)))
        level = children
    raise IncompatibleError(f"{type(backbone).__name__} has no list of blocks; use method full or frozen")


def find_stacks(backbone: nn.Module) -> list[nn.ModuleList]:
    """The lists of blocks: one of an encoder or a decoder, both where the network has both, the encoder first.

    Raises:
        IncompatibleError: as `find_blocks`.
    """
    for module in backbone.modules():
        parts = dict(module.named_children())
        if "encoder" in parts and "decoder" in parts:
            return [find_blocks(parts["encoder"]), find_blocks(parts["decoder"])]
    return [find_blocks(backbone)]


def train_from_top(network: Network, num_blocks: int) -> None:
    """Train the head, the last `num_blocks` blocks of every stack and what follows the last; freeze the rest.

    Raises:
        IncompatibleError: the architecture has no list of blocks, or a shorter one, or no head to train alone.
    """
    stacks = find_stacks(network.backbone)
    longest = max(map(len, stacks))
    if num_blocks > longest:
        raise IncompatibleError(f"{type(network.backbone).__name__} has {longest} blocks, not {num_blocks}")
    network.requires_grad_(False)
    for parameter in network.head_parameters():
        parameter.requires_grad_(True)
    if num_blocks == 0:
        if not network.head_parameters():
            raise IncompatibleError(
                f"{type(network.backbone).__name__} has no head of its own to train before its blocks; "
                "layers: 1 or more would do"
            )
        return
    for blocks in stacks:
        for block in blocks[-num_blocks:]:
            block.requires_grad_(True)
    listed = list(network.backbone.parameters())
    last = max(i for i, p in enumerate(listed) if any(p is own for own in stacks[-1][-1].parameters()))
    for parameter in listed[last + 1 :]:
        parameter.requires_grad_(True)
