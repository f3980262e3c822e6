"""What a head's outputs are compared with, and how: softmax over classes, a sigmoid a label, squares of numbers.

    objective = make_objective("softmax", targets, specs, num_outputs, dtype, device)
    targets_GNC, weights_GN = objective.rows(slice(0, 512))
    objective.loss(outputs_GNC, targets_GNC); objective.error(outputs_GNC, targets_GNC)

Shapes: G members, N rows, B rows of a step, C outputs (padded), K of them real.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.nn.functional import softplus

from raybench.core.errors import IncompatibleError
from raybench.runtime.training.heads.layout import NEVER, padded
from raybench.runtime.training.heads.spec import HeadSpec
from raybench.runtime.training.heads.targets import Targets, smoothed_targets

__all__ = ["Compared", "Objective", "make_objective"]


class Compared(NamedTuple):
    """What rows are compared with, and how much each counts."""

    targets_GNC: torch.Tensor
    weights_GN: torch.Tensor


class Objective(Protocol):
    """Rows' targets, and the loss that a head minimises."""

    padding: float  # the output that a column which only pads starts with: no loss and no error comes of it

    def rows(self, rows: slice) -> Compared:
        """Rows that all members take."""

    def drawn(self, rows_GB: torch.Tensor) -> Compared:
        """Rows that each member takes for itself."""

    def loss(self, outputs_GNC: torch.Tensor, targets_GNC: torch.Tensor) -> torch.Tensor:
        """[G, N]."""

    def error(self, outputs_GNC: torch.Tensor, targets_GNC: torch.Tensor) -> torch.Tensor:
        """The loss's derivative by the outputs, [G, N, C]."""


class _Softmax:
    """Cross-entropy; targets are looked up by class, not kept a row."""

    padding = NEVER

    def __init__(self, labels_N: torch.Tensor, targets: Targets) -> None:
        self._labels_N, self._targets = labels_N, targets
        self._members = torch.arange(len(targets.weights_GC), device=labels_N.device)[:, None]

    def rows(self, rows: slice) -> Compared:
        labels_N = self._labels_N[rows]
        return Compared(self._targets.smoothed_GCC[:, labels_N], self._targets.weights_GC[:, labels_N])

    def drawn(self, rows_GB: torch.Tensor) -> Compared:
        labels_GB = self._labels_N[rows_GB]
        return Compared(
            self._targets.smoothed_GCC[self._members, labels_GB], self._targets.weights_GC[self._members, labels_GB]
        )

    def loss(self, outputs_GNC: torch.Tensor, targets_GNC: torch.Tensor) -> torch.Tensor:
        return -(torch.log_softmax(outputs_GNC, dim=-1) * targets_GNC).sum(-1)

    def error(self, outputs_GNC: torch.Tensor, targets_GNC: torch.Tensor) -> torch.Tensor:
        return torch.softmax(outputs_GNC, dim=-1) - targets_GNC


class _Values:
    """Targets of their own for every row: numbers, or 0 and 1."""

    padding = 0.0

    def __init__(self, values_NC: torch.Tensor, num_members: int) -> None:
        self._values_NC, self._num_members = values_NC, num_members

    def rows(self, rows: slice) -> Compared:
        return self._compared(self._values_NC[rows].expand(self._num_members, -1, -1))

    def drawn(self, rows_GB: torch.Tensor) -> Compared:
        return self._compared(self._values_NC[rows_GB])

    def _compared(self, values_GNC: torch.Tensor) -> Compared:
        return Compared(values_GNC, torch.ones_like(values_GNC[:, :, 0]))

    def loss(self, outputs_GNC: torch.Tensor, targets_GNC: torch.Tensor) -> torch.Tensor:
        return 0.5 * (outputs_GNC - targets_GNC).square().sum(-1)

    def error(self, outputs_GNC: torch.Tensor, targets_GNC: torch.Tensor) -> torch.Tensor:
        return outputs_GNC - targets_GNC


class _Sigmoid(_Values):
    """A logistic regression for each label."""

    padding = NEVER

    def __init__(self, values_NC: torch.Tensor, smoothing_G: torch.Tensor, num_outputs: int) -> None:
        super().__init__(values_NC, len(smoothing_G))
        self._smoothing_G11, self._num_outputs = smoothing_G[:, None, None], num_outputs

    def _compared(self, values_GNC: torch.Tensor) -> Compared:
        smoothed_GNC = values_GNC * (1 - self._smoothing_G11)
        smoothed_GNC[:, :, : self._num_outputs] += self._smoothing_G11 / 2
        return super()._compared(smoothed_GNC)

    def loss(self, outputs_GNC: torch.Tensor, targets_GNC: torch.Tensor) -> torch.Tensor:
        return (softplus(outputs_GNC) - outputs_GNC * targets_GNC).sum(-1)

    def error(self, outputs_GNC: torch.Tensor, targets_GNC: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(outputs_GNC) - targets_GNC


def make_objective(
    kind: str,
    targets: np.ndarray,
    specs: Sequence[HeadSpec],
    num_outputs: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Objective:
    """For targets int [N] of classes (softmax), or float32 [N, K] of 0 and 1 (sigmoid) or numbers (squared).

    Raises:
        IncompatibleError: class weights where there are no classes.
    """
    if kind == "softmax":
        labels_N = torch.from_numpy(targets.astype(np.int64)).to(device)
        return _Softmax(labels_N, smoothed_targets(labels_N, specs, num_outputs, dtype))
    if any(spec.balanced for spec in specs):
        raise IncompatibleError("class_weights: balanced: there are no classes to balance here; leave it out")
    values_NC = torch.zeros(len(targets), padded(num_outputs), dtype=dtype, device=device)
    values_NC[:, :num_outputs] = torch.from_numpy(targets)
    if kind == "sigmoid":
        smoothing_G = torch.tensor([spec.label_smoothing for spec in specs], dtype=dtype, device=device)
        return _Sigmoid(values_NC, smoothing_G, num_outputs)
    return _Values(values_NC, len(specs))
