"""`gradient_boosting`: scikit-learn's histogram gradient boosting on frozen features, kept as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from raybench.recipes.methods.method import Hyperparameters
from raybench.recipes.methods.on_features import FeatureMethod

__all__ = ["Boosting", "GradientBoosting"]

_NODE_FIELDS = {"value": np.float64, "feature_idx": np.int64, "num_threshold": np.float64, "left": np.int64,
                "right": np.int64, "is_leaf": np.bool_}  # fmt: skip


class Boosting(Hyperparameters):
    """As in HistGradientBoostingClassifier."""

    rounds: int = Field(default=100, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    max_leaf_nodes: int = Field(default=15, ge=2)
    min_samples_leaf: int = Field(default=5, ge=1)
    l2: float = Field(default=0.0, ge=0)


class GradientBoosting(FeatureMethod):
    """The trees are walked from their arrays, so no pickle is needed to score."""

    name = "gradient_boosting"
    hyperparameters = Boosting

    def fit(
        self, features: np.ndarray, labels: np.ndarray, num_labels: int, hyperparameters: Any, seed: int
    ) -> dict[str, np.ndarray]:
        from sklearn.ensemble import HistGradientBoostingClassifier

        from raybench.core.identity import seed_from

        present = np.unique(labels)
        labelled = {"present": present.astype(np.int64), "num_labels": np.array([num_labels])}
        if len(present) == 1:
            return {**labelled, "offset": np.zeros(1), "roots": np.zeros(0, dtype=np.int64)}
        h = hyperparameters
        model: Any = HistGradientBoostingClassifier(
            max_iter=h.rounds,
            learning_rate=h.learning_rate,
            max_leaf_nodes=h.max_leaf_nodes,
            min_samples_leaf=h.min_samples_leaf,
            l2_regularization=h.l2,
            early_stopping=False,
            random_state=seed_from("boosting", seed) % 2**32,
        ).fit(features, labels)
        trees = [tree.nodes for round_ in model._predictors for tree in round_]
        first = np.cumsum([0, *(len(nodes) for nodes in trees)])
        arrays: dict[str, np.ndarray] = {
            name: np.concatenate([nodes[name] for nodes in trees]).astype(t) for name, t in _NODE_FIELDS.items()
        }
        for name in ("left", "right"):  # from places in a tree to places among all nodes
            arrays[name] += np.repeat(first[:-1], np.diff(first))
        offset = np.ravel(model._baseline_prediction).astype(np.float64)
        return {**arrays, **labelled, "roots": first[:-1].astype(np.int64), "offset": offset}

    def outputs(self, arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        scores = np.tile(arrays["offset"], (len(features), 1))
        if len(arrays["roots"]):
            place = np.tile(arrays["roots"], (len(features), 1))  # rows × trees
            while not arrays["is_leaf"][place].all():
                value = np.take_along_axis(features, arrays["feature_idx"][place], axis=1).astype(np.float64)
                below = np.where(value <= arrays["num_threshold"][place], arrays["left"][place], arrays["right"][place])
                place = np.where(arrays["is_leaf"][place], place, below)
            leaves = arrays["value"][place]
            scores += leaves.reshape(len(features), -1, scores.shape[1]).sum(axis=1)
        present, num_labels = arrays["present"], int(arrays["num_labels"][0])
        if scores.shape[1] == 1 and len(present) == 2:
            scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
        logits = np.full((len(features), num_labels), -1e4)
        logits[:, present] = scores
        return logits.astype(np.float32)
