"""Learned positions in a frozen network: peft's prompts and prefixes for texts, visual prompts for images.

Visual prompts (Jia et al. 2022) are appended to the sequence of patches, once before the first block or anew before
every block, and cut off again before pooling. Shapes: B rows, T positions, P learned ones, H features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from raybench.core.errors import IncompatibleError
from raybench.models.adapters import import_peft
from raybench.models.layers import find_blocks
from raybench.models.network import (
    CheckpointNetwork,
    ChoiceNetwork,
    Network,
    PooledNetwork,
    PositionNetwork,
    TokenNetwork,
)
from raybench.models.quiet import quiet

__all__ = ["add_prompt"]


def add_prompt(network: Network, num_tokens: int, *, deep: bool) -> None:
    """Give the network `num_tokens` learned positions, in place; `deep` gives every block its own.

    Raises:
        IncompatibleError: a network that is not a transformer over a sequence.
    """
    config: Any = getattr(network.backbone, "config", None)
    kind = type(network.backbone).__name__
    if not network.prompted_as:
        raise IncompatibleError(f"{kind} reads sound, which has no place for learned positions; use lora or full")
    if config is None or not hasattr(config, "num_attention_heads"):
        raise IncompatibleError(f"{kind} has no attention for learned positions to take part in; use lora or full")
    if not hasattr(config, "vocab_size"):
        if isinstance(network, CheckpointNetwork):
            raise IncompatibleError(f"{kind}: visual prompts need a fresh head; use lora or full with this one")
        assert isinstance(network, PooledNetwork)
        _add_visual(network, num_tokens, deep=deep)
        return
    if isinstance(network, ChoiceNetwork):
        raise IncompatibleError(f"{kind}: peft cannot add learned positions to rows of choices; use lora or full")
    peft = import_peft()
    make = peft.PrefixTuningConfig if deep else peft.PromptTuningConfig
    try:
        with quiet():
            network.backbone = peft.get_peft_model(
                network.backbone, make(num_virtual_tokens=num_tokens, task_type=network.prompted_as)
            )
    except (ValueError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise IncompatibleError(f"{kind}: peft cannot add learned positions: {reason}") from error
    most = _num_positions(network.backbone, config)
    if most is not None:
        network.backbone.register_forward_pre_hook(_Limit(kind, num_tokens, most), with_kwargs=True)
    segments = _Segments(0 if deep else num_tokens)
    network.backbone.register_forward_pre_hook(segments.take, with_kwargs=True)
    inside: Any = network.backbone
    inside.get_base_model().register_forward_pre_hook(segments.give, with_kwargs=True)
    if isinstance(network, TokenNetwork | PositionNetwork) and not deep:
        network.num_virtual = num_tokens


def _num_positions(backbone: nn.Module, config: Any) -> int | None:
    """How many positions have an embedding; None where positions are relative."""
    stated = getattr(config, "max_position_embeddings", None)
    for module in backbone.modules():
        if isinstance(module, nn.Embedding) and module.num_embeddings == stated:
            return stated - (0 if module.padding_idx is None else module.padding_idx + 1)  # RoBERTa begins after it
    return None


class _Limit:
    """Refuses a text that leaves no place for the learned positions."""

    def __init__(self, kind: str, num_tokens: int, most: int) -> None:
        self.kind, self.num_tokens, self.most = kind, num_tokens, most

    def __call__(self, module: nn.Module, arguments: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        length = int(inputs["input_ids"].shape[1])
        if length + self.num_tokens > self.most:
            raise IncompatibleError(
                f"{self.kind} has {self.most} positions, fewer than {self.num_tokens} learned ones and a text of "
                f"{length}; give the dataset max_length: {self.most - self.num_tokens}, or a smaller num_tokens"
            )


class _Segments:
    """Which text of a pair a position is of: peft drops `token_type_ids`, so they go around it.

    A class, as below: copies of the network carry copies of both hooks.
    """

    def __init__(self, num_before: int) -> None:
        self.num_before = num_before  # learned positions in front, which count as of the first text
        self.types_BT: torch.Tensor | None = None

    def take(self, module: nn.Module, arguments: tuple[Any, ...], inputs: dict[str, Any]) -> tuple[Any, Any]:
        self.types_BT = inputs.get("token_type_ids")
        return arguments, {name: value for name, value in inputs.items() if name != "token_type_ids"}

    def give(self, module: nn.Module, arguments: tuple[Any, ...], inputs: dict[str, Any]) -> tuple[Any, Any]:
        if self.types_BT is None:
            return arguments, inputs
        return arguments, {**inputs, "token_type_ids": nn.functional.pad(self.types_BT, (self.num_before, 0))}


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


def _add_visual(network: PooledNetwork, num_tokens: int, *, deep: bool) -> None:
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
