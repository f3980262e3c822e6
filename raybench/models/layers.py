"""A backbone's repeated blocks, found by shape and not by a table of architectures."""

from __future__ import annotations

from torch import nn

from raybench.errors import IncompatibleError

__all__ = ["find_blocks"]


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
