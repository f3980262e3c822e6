"""Where a fit is, for whoever watches it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TrainingStep"]


class TrainingStep(NamedTuple):
    """A step that has begun, and how many there are; both count from 1."""

    epoch: int
    num_epochs: int
    step: int  # of the epoch
    num_steps: int

    @property
    def share(self) -> float:
        """How much of the fit is done, in [0, 1)."""
        return (self.epoch - 1 + (self.step - 1) / self.num_steps) / self.num_epochs

    def __str__(self) -> str:
        return f"epoch {self.epoch} of {self.num_epochs}, step {self.step} of {self.num_steps}"
