"""A network is features and a head: what every method trains, freezes or replaces.

    network = PooledNetwork(backbone, "mean", num_outputs=5, seed=0)
    logits_BC = network.head(network.features(inputs))          # the same as network(inputs)

Shapes: B rows, H features, C classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from raybench.core.identity import seed_from
from raybench.models.backbone import feature_size
from raybench.models.pooling import pool

__all__ = [
    "CheckpointNetwork",
    "ChoiceNetwork",
    "Network",
    "PooledNetwork",
    "PositionNetwork",
    "Standardized",
    "TokenNetwork",
    "fresh_head",
]


class Network(nn.Module):
    """Features of a row, then a head; `backbone` and `head` are its parts."""

    backbone: nn.Module
    head: nn.Module
    num_as_opened: int = 0  # of weights, where those that score are others
    prompted_as: str = "FEATURE_EXTRACTION"  # what peft calls its task, where a method gives it learned positions
    rows_alone: bool = False  # whether, on a CPU, each row is forwarded by itself

    @property
    def num_parameters(self) -> int:
        """How many numbers the network's weights are, each tensor once."""
        return self.num_as_opened or sum(parameter.numel() for parameter in self.parameters())

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        raise NotImplementedError

    def draw(self, seed: int) -> None:
        """Draw from `seed` what no checkpoint gave, such as a fresh head, in place.

        An opened network serves trials of every seed; this is asked of a trial's own copy before it is trained.
        """
        raise NotImplementedError

    def head_parameters(self) -> list[nn.Parameter]:
        """What turns features into the task's outputs; trained by every method that trains."""
        return list(self.head.parameters())

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self.head(self.features(inputs))


class TokenNetwork(Network):
    """A backbone's hidden states and a linear head on each of them."""

    def __init__(self, backbone: nn.Module, *, num_outputs: int, seed: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_virtual = 0  # learned positions before (negative: after) those of the row, left out
        self.head = fresh_head(feature_size(backbone), num_outputs, seed)
        self._accepts = set(inspect.signature(backbone.forward).parameters)

    def hidden(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The hidden states of the row's own positions, [B, T, H] (of convolutions [B, H, Y, X])."""
        known = _accepted(inputs, self._accepts, self.backbone)
        return _without_virtual(self.backbone(**known).last_hidden_state, self.num_virtual)

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """float32 [B, T, H]."""
        return self.hidden(inputs).float()

    def draw(self, seed: int) -> None:
        before: Any = self.head
        self.head = fresh_head(before.in_features, before.out_features, seed)


class PooledNetwork(TokenNetwork):
    """A backbone's hidden states, pooled, and a linear head."""

    def __init__(self, backbone: nn.Module, pooling: str, *, num_outputs: int, seed: int) -> None:
        super().__init__(backbone, num_outputs=num_outputs, seed=seed)
        self.pooling = pooling

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """float32 [B, H]."""
        return pool(self.hidden(inputs), inputs.get("attention_mask"), self.pooling)


class CheckpointNetwork(Network):
    """A checkpoint with the head it was saved with; its outputs are put in the dataset's order of labels.

    Without an order they are taken as they are, such as the words of a language model.
    """

    def __init__(self, model: nn.Module, order: Sequence[int] | None) -> None:
        super().__init__()
        self.backbone = model
        self.head = nn.Identity() if order is None else _Select(order)
        self._own_head = [child for name, child in model.named_children() if name != model.base_model_prefix]
        self._accepts = set(inspect.signature(model.forward).parameters)

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The logits of all the head's own outputs, float32."""
        known = _accepted(inputs, self._accepts, self.backbone)
        return self.backbone(**known).logits.float()

    def draw(self, seed: int) -> None:
        return  # its head came with the checkpoint

    def head_parameters(self) -> list[nn.Parameter]:
        return [parameter for module in self._own_head for parameter in module.parameters()]


class ChoiceNetwork(CheckpointNetwork):
    """A checkpoint whose own head scores choices: each row one choice, so that rows may have any number of them."""

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """float32 [W, 1]."""
        return super().features({name: value[:, None] for name, value in inputs.items()})


class PositionNetwork(CheckpointNetwork):
    """A checkpoint whose own head puts out something for each position: a word's tag, or start and end of an answer."""

    def __init__(self, model: nn.Module, order: Sequence[int] | None) -> None:
        super().__init__(model, order)
        self.num_virtual = 0  # as a TokenNetwork's

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """float32 [B, T, own outputs]; of an answer its start and its end."""
        given = self.backbone(**_accepted(inputs, self._accepts, self.backbone))
        logits = given.get("logits")
        if logits is None:
            logits = torch.stack([given["start_logits"], given["end_logits"]], dim=-1)
        return _without_virtual(logits.float(), self.num_virtual)


def _without_virtual(positions: torch.Tensor, num_virtual: int) -> torch.Tensor:
    """[B, T, …] without learned positions in front (or behind, if negative)."""
    if num_virtual > 0:
        return positions[:, num_virtual:]
    return positions[:, :num_virtual] if num_virtual < 0 else positions


def _accepted(inputs: Mapping[str, torch.Tensor], names: set[str], model: nn.Module) -> dict[str, Any]:
    """The inputs that the model takes, pixels in the dtype of its weights."""
    dtype = next((parameter.dtype for parameter in model.parameters()), torch.float32)
    return {
        name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items() if name in names
    }


class Standardized(nn.Module):
    """Deviations of numbers from a mean, in multiples of `std`."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return (values - self.mean) / self.std


class _Select(nn.Module):
    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("order", torch.tensor(list(order)), persistent=False)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        order: Any = self.order
        return logits[..., order]


def fresh_head(num_features: int, num_outputs: int, seed: int) -> nn.Linear:
    """A linear layer with weights uniform in ±1/sqrt(H) from its own seed, and no bias."""
    head = nn.Linear(num_features, num_outputs)
    generator = torch.Generator().manual_seed(seed_from("head.weight", seed))
    bound = num_features**-0.5
    with torch.no_grad():
        head.weight.copy_((torch.rand(head.weight.shape, generator=generator) * 2 - 1) * bound)
        head.bias.zero_()
    return head
