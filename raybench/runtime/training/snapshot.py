"""A network under training as it was after an epoch, to train it on from there a second time, here or elsewhere.

    snapshot = Snapshot(stepper, optimizer, trained)
    ...                                                   # train on
    snapshot.restore()                                    # and on again, with the same bits as without the first

The copies lie in host memory, so a GPU holds no more than for one trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from raybench.runtime.training.step import Stepper

__all__ = ["Kept", "Snapshot", "live"]

Trained = Sequence[tuple[str, nn.Parameter]]


class Kept(NamedTuple):
    """All that steps change: tensors by name (`parameter:…`, `buffer:…`, `moment:…`) and the losses' scale."""

    tensors: Mapping[str, torch.Tensor]
    scale: Mapping[str, Any]


def live(stepper: Stepper, optimizer: torch.optim.Optimizer, trained: Trained) -> Kept:
    """What is there now, not copied: the trained parameters, the buffers, the moments of those that had a gradient."""
    tensors = {f"parameter:{name}": parameter.detach() for name, parameter in trained}
    tensors |= {f"buffer:{name}": buffer.detach() for name, buffer in stepper.network.named_buffers()}
    for name, parameter in trained:
        tensors |= {_moment(key, name): tensor for key, tensor in optimizer.state.get(parameter, {}).items()}
    return Kept(tensors, stepper.scaler.state_dict())


class Snapshot:
    """What `live` shows, copied now, or `kept` earlier by this process or another."""

    def __init__(
        self, stepper: Stepper, optimizer: torch.optim.Optimizer, trained: Trained, kept: Kept | None = None
    ) -> None:
        self._stepper, self._optimizer, self._trained = stepper, optimizer, trained
        if kept is None:
            tensors, scale = live(stepper, optimizer, trained)
            kept = Kept({name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()}, scale)
        self._kept = kept

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back, in place."""
        tensors, scale = self._kept
        for name, parameter in self._trained:
            parameter.copy_(tensors[f"parameter:{name}"])
            self._restore_moments(name, parameter)
        for name, buffer in self._stepper.network.named_buffers():
            buffer.copy_(tensors[f"buffer:{name}"])
        self._stepper.network.zero_grad(set_to_none=True)  # what a step that failed left behind
        self._stepper.scaler = self._stepper.fresh_scaler()
        self._stepper.scaler.load_state_dict(dict(scale))

    def _restore_moments(self, name: str, parameter: nn.Parameter) -> None:
        kept = {key: self._kept.tensors.get(_moment(key, name)) for key in _ADAM}
        if kept["step"] is None:  # it had had no gradient yet
            self._optimizer.state.pop(parameter, None)
            return
        state = self._optimizer.state[parameter]
        for key, tensor in kept.items():
            assert tensor is not None
            if key not in state:
                like = parameter if tensor.shape == parameter.shape else tensor.to(parameter.device)
                state[key] = torch.empty_like(like, dtype=tensor.dtype)
            state[key].copy_(tensor)


_ADAM = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of a parameter


def _moment(key: str, name: str) -> str:
    return f"moment:{key}:{name}"
