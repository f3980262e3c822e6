"""Methods that fit something other than a linear head on a frozen backbone's features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from raybench.recipes.methods.method import Method

__all__ = ["FeatureMethod"]


class FeatureMethod(Method):
    """Features [N, H] and targets into arrays, arrays and features [B, H] into outputs [B, C].

    Targets are whole numbers [N], the labels, for logits of C labels; or float32 [N, 1], numbers to come near to.
    """

    on_features = True
    objectives = ("softmax", "squared")

    @abstractmethod
    def fit(
        self, features: np.ndarray, targets: np.ndarray, num_outputs: int, hyperparameters: Any, seed: int
    ) -> dict[str, np.ndarray]:
        """All that scoring needs."""

    @abstractmethod
    def outputs(self, arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        """float32 [B, C]."""
