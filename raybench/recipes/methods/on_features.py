"""Methods that fit something other than a linear head on a frozen backbone's features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from raybench.recipes.methods.method import Method

__all__ = ["FeatureMethod"]


class FeatureMethod(Method):
    """Features [N, H] and labels [N] into arrays, arrays and features [B, H] into logits [B, C]."""

    on_features = True
    objectives = ("softmax",)

    @abstractmethod
    def fit(
        self, features: np.ndarray, labels: np.ndarray, num_labels: int, hyperparameters: Any, seed: int
    ) -> dict[str, np.ndarray]:
        """All that scoring needs."""

    @abstractmethod
    def outputs(self, arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        """float32 logits [B, C]."""
