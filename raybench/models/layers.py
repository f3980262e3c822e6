"""A backbone's repeated blocks, found by shape and not by a table of architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from raybench.core.errors import IncompatibleError

if TYPE_CHECKING:
    from raybench.models.network import Network

__all__ = ["find_blocks", "train_from_top"]


def find_blocks(backbone: nn.Module) -> nn.ModuleList:
    """The outermost and longest list of modules: BERT's layers, ViT's, GPT's, ResNet's and ConvNeXt's stages.

    Raises:
        IncompatibleError: the architecture has no such list.
    """
    level: list[nn.Module] = [backbone]
    while level:
        children = [child for module in level for child in module.children()]
        lists = [child for child in children if isinstance(child, nn.ModuleList) and len(child) > 0]
        if lists:
            return max(lists, key=len)
        level = children
    raise IncompatibleError(f"{type(backbone).__name__} has no list of blocks; use method full or frozen")


def train_from_top(network: Network, num_blocks: int) -> None:
    """Train the head, the last `num_blocks` blocks and what follows the last block; freeze the rest.

    Raises:
        IncompatibleError: the architecture has no list of blocks, or a shorter one.
    """
    blocks = find_blocks(network.backbone)
    if num_blocks > len(blocks):
        raise IncompatibleError(f"{type(network.backbone).__name__} has {len(blocks)} blocks, not {num_blocks}")
    network.requires_grad_(False)
    for parameter in network.head_parameters():
        parameter.requires_grad_(True)
    if num_blocks == 0:
        return
    for block in blocks[-num_blocks:]:
        block.requires_grad_(True)
    listed = list(network.backbone.parameters())
    last = max(i for i, p in enumerate(listed) if any(p is own for own in blocks[-1].parameters()))
    for parameter in listed[last + 1 :]:
        parameter.requires_grad_(True)
