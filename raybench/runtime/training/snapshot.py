"""A network under training as it was after an epoch, to train it on from there a second time.

    snapshot = Snapshot(stepper, optimizer, trained)
    ...                                                   # train on
    snapshot.restore()                                    # and on again, with the same bits as without the first

The copies lie in host memory, so a GPU holds no more than for one trial.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from raybench.runtime.training.step import Stepper

__all__ = ["Snapshot"]


class Snapshot:
    """The parameters that are trained, the buffers, the optimizer's moments and the losses' scale."""

    def __init__(self, stepper: Stepper, optimizer: torch.optim.Optimizer, trained: Sequence[nn.Parameter]) -> None:
        self._stepper, self._optimizer = stepper, optimizer
        self._with_moments = set(optimizer.state)  # the others have had no gradient yet
        moments = [tensor for state in optimizer.state.values() for tensor in state.values()]
        live: list[torch.Tensor] = [*trained, *stepper.network.buffers(), *moments]
        self._kept = [(tensor, tensor.detach().to("cpu", copy=True)) for tensor in live]
        self._scale = stepper.scaler.state_dict()

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back, in place."""
        for tensor, kept in self._kept:
            tensor.copy_(kept)
        for parameter in set(self._optimizer.state) - self._with_moments:
            del self._optimizer.state[parameter]
        self._stepper.network.zero_grad(set_to_none=True)  # what a step that failed left behind
        self._stepper.scaler = self._stepper.fresh_scaler()
        self._stepper.scaler.load_state_dict(self._scale)
