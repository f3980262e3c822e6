"""What a head to fit is, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["HeadSpec", "HeadWeights"]

HeadWeights = Mapping[str, np.ndarray]
"""`head.weight` [C, H] and `head.bias` [C], float32; with a hidden layer `head.0.*` and `head.2.*`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSpec:
    """One head to fit. `learning_rate` None: solved by L-BFGS."""

    seed: int
    data: str  # the dataset's fingerprint, for the order of batches
    learning_rate: float | None = None
    weight_decay: float | None = None
    hidden: int = 0
    epochs: int = 100
    batch_size: int = 32
    optimizer: str = "adamw"
    label_smoothing: float = 0.0
    balanced: bool = False

    @property
    def group(self) -> tuple[object, ...]:
        """Heads of equal groups can be fitted in one computation."""
        if self.learning_rate is None:
            return ("lbfgs",)
        return ("steps", self.hidden, self.epochs, self.batch_size, self.optimizer)
