"""Learned positions in a frozen network: peft's prompts and prefixes for texts, visual prompts for images.

Visual prompts (Jia et al. 2022) are appended to the sequence of patches, once before the first block or anew before
every block, and cut off again before pooling. Shapes: B rows, T positions, P learned ones, H features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from raybench.errors import IncompatibleError
from raybench.models.adapters import import_peft
from raybench.models.layers import find_blocks
from raybench.models.network import CheckpointClassifier, Network, PooledClassifier
from raybench.models.quiet import quiet

__all__ = ["add_prompt"]


def add_prompt(network: Network, num_tokens: int, *, deep: bool) -> None:
    """Give the network `num_tokens` learned positions, in place; `deep` gives every block its own.

    Raises:
        IncompatibleError: a network that is not a transformer over a sequence.
    """
    config: Any = getattr(network.backbone, "config", None)
    kind = type(network.backbone).__name__
    if config is None or not hasattr(config, "num_attention_heads"):
        raise IncompatibleError(f"{kind} has no attention for learned positions to take part in; use lora or full")
    if not hasattr(config, "vocab_size"):
        if isinstance(network, CheckpointClassifier):
            raise IncompatibleError(f"{kind}: visual prompts need a fresh head; use lora or full with this one")
        assert isinstance(network, PooledClassifier)
        _add_visual(network, num_tokens, deep=deep)
        return
    peft = import_peft()
    task = peft.TaskType.FEATURE_EXTRACTION
    make = peft.PrefixTuningConfig if deep else peft.PromptTuningConfig
    try:
        with quiet():
            network.backbone = peft.get_peft_model(
                network.backbone, make(num_virtual_tokens=num_tokens, task_type=task)
            )
    except (ValueError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise IncompatibleError(f"{kind}: peft cannot add learned positions: {reason}") from error
    if isinstance(network, PooledClassifier) and not deep:
        network.num_virtual = num_tokens


class _Positions(nn.Module):
    """P learned vectors a block, and what puts them behind the sequence."""

    def __init__(self, num_blocks: int, num_tokens: int, size: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.empty(num_blocks, num_tokens, size))
        nn.init.uniform_(self.vectors, -((6 / size) ** 0.5), (6 / size) ** 0.5)

    def before(self, block: int, hidden_BTH: torch.Tensor) -> torch.Tensor:
        num_tokens = self.vectors.shape[1]
        kept = hidden_BTH if block == 0 else hidden_BTH[:, :-num_tokens]
        vectors = self.vectors[block].to(hidden_BTH.dtype).expand(len(hidden_BTH), -1, -1)
        return torch.cat([kept, vectors], dim=1)


def _add_visual(network: PooledClassifier, num_tokens: int, *, deep: bool) -> None:
    blocks = find_blocks(network.backbone)
    size = int(network.head.in_features)  # type: ignore[arg-type]
    positions = _Positions(len(blocks) if deep else 1, num_tokens, size)
    network.backbone.virtual_tokens = positions
    for place, block in enumerate(blocks if deep else blocks[:1]):
        block.register_forward_pre_hook(_Before(positions, place))
    network.num_virtual = -num_tokens


class _Before:
    """A forward pre-hook; a class, so that copies of the network hook copies of the vectors."""

    def __init__(self, positions: _Positions, place: int) -> None:
        self.positions, self.place = positions, place

    def __call__(self, block: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self.positions.before(self.place, arguments[0]), *arguments[1:])
