"""`nearest_neighbors`: the labels, or the mean number, of the k training rows nearest by cosine, on frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from raybench.recipes.methods.method import Hyperparameters
from raybench.recipes.methods.on_features import FeatureMethod

__all__ = ["NearestNeighbors", "Neighbors"]


class Neighbors(Hyperparameters):
    """Who votes, with what weight (as for probing vision models: Wu et al. 2018)."""

    k: int = Field(default=10, ge=1, description="neighbours that vote")
    temperature: float = Field(
        default=0.07,
        gt=0,
        description="divides cosines before they are weighed against each other; a small one follows the nearest alone",
    )


class NearestNeighbors(FeatureMethod):
    """Weighted vote, with a thousandth of a vote for every label so that the log-loss is finite."""

    name = "nearest_neighbors"
    hyperparameters = Neighbors

    def fit(
        self, features: np.ndarray, targets: np.ndarray, num_outputs: int, hyperparameters: Any, seed: int
    ) -> dict[str, np.ndarray]:
        return {
            "features": _unit(features),
            "labels": targets[:, 0] if targets.dtype.kind == "f" else targets.astype(np.int32),
            "options": np.array([min(hyperparameters.k, len(targets)), num_outputs], dtype=np.int64),
            "temperature": np.array([hyperparameters.temperature]),
        }

    def outputs(self, arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        (k, num_outputs), targets = arrays["options"].tolist(), arrays["labels"]
        cosine = _unit(features) @ arrays["features"].T
        nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :k]  # equal cosines: the earlier training row
        weight = np.take_along_axis(cosine, nearest, axis=1).astype(np.float64) / float(arrays["temperature"][0])
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        if targets.dtype.kind == "f":
            mean = (weight * targets[nearest]).sum(axis=1) / weight.sum(axis=1)
            return mean.astype(np.float32)[:, None]
        votes = np.full((len(features), num_outputs), 1e-3)
        for place in range(k):
            votes[np.arange(len(features)), targets[nearest[:, place]]] += weight[:, place]
        return np.log(votes).astype(np.float32)


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
