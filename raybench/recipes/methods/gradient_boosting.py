"""`gradient_boosting`: scikit-learn's histogram gradient boosting on frozen features, kept as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from raybench.recipes.methods.method import Hyperparameters
from raybench.recipes.methods.on_features import FeatureMethod
from raybench.recipes.trees import boosting_outputs, fit_boosting

__all__ = ["Boosting", "GradientBoosting"]


class Boosting(Hyperparameters):
    """As in HistGradientBoostingClassifier and HistGradientBoostingRegressor."""

    rounds: int = Field(default=100, ge=1, description="trees, one after the other")
    learning_rate: float = Field(default=0.1, gt=0, description="how much of each is taken")
    max_leaf_nodes: int = Field(default=15, ge=2, description="of a tree")
    min_samples_leaf: int = Field(default=5, ge=1, description="training rows of a leaf at least")
    l2: float = Field(default=0.0, ge=0, description="shrinks what a leaf says")


class GradientBoosting(FeatureMethod):
    """The trees are walked from their arrays, so no pickle is needed to score."""

    name = "gradient_boosting"
    hyperparameters = Boosting

    def fit(
        self, features: np.ndarray, targets: np.ndarray, num_outputs: int, hyperparameters: Any, seed: int
    ) -> dict[str, np.ndarray]:
        h = hyperparameters
        options = {
            "max_iter": h.rounds,
            "learning_rate": h.learning_rate,
            "max_leaf_nodes": h.max_leaf_nodes,
            "min_samples_leaf": h.min_samples_leaf,
            "l2_regularization": h.l2,
        }
        return fit_boosting(features, targets, num_outputs, options, seed)

    def outputs(self, arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        return boosting_outputs(arrays, features)
