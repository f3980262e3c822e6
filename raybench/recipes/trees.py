"""Decision trees of scikit-learn as plain arrays, so that no pickle is needed to score.

    arrays = fit_boosting(features, labels, num_labels, {"max_iter": 100}, seed=0)
    logits = boosting_outputs(arrays, features)                 # and fit_forest, forest_outputs

Shapes: N rows, D features, T trees, C labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from raybench.core.identity import seed_from
from raybench.recipes.baselines.linear import ABSENT

__all__ = ["boosting_outputs", "fit_boosting", "fit_forest", "forest_outputs"]

_LEAST_SHARE = 1e-3  # of a label that no leaf knows, so that a log-loss is finite
_NODE_FIELDS = {"value": np.float64, "feature_idx": np.int64, "num_threshold": np.float64, "left": np.int64,
                "right": np.int64, "is_leaf": np.bool_}  # fmt: skip


def fit_boosting(
    features: np.ndarray, targets: np.ndarray, num_outputs: int, options: Mapping[str, Any], seed: int
) -> dict[str, np.ndarray]:
    """Histogram gradient boosting on labels [N] (whole numbers) or values [N, 1]; `options` are scikit-learn's."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind: Any = HistGradientBoostingClassifier
    present = np.unique(targets) if targets.dtype.kind != "f" else np.zeros(0)
    if targets.dtype.kind == "f":
        kind, targets = HistGradientBoostingRegressor, targets[:, 0]
    labelled = {"present": present.astype(np.int64), "num_labels": np.array([num_outputs])}
    if len(present) == 1:
        return {**labelled, "offset": np.zeros(1), "roots": np.zeros(0, dtype=np.int64)}
    random_state = seed_from("boosting", seed) % 2**32
    model = kind(**options, early_stopping=False, random_state=random_state).fit(features, targets)
    trees = [tree.nodes for round_ in model._predictors for tree in round_]
    arrays = _joined({name: nodes[name] for name in _NODE_FIELDS} for nodes in trees)
    return {**arrays, **labelled, "offset": np.ravel(model._baseline_prediction).astype(np.float64)}


def boosting_outputs(arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """float32 [N, C]: logits of the labels, or [N, 1] values."""
    scores = np.tile(arrays["offset"], (len(features), 1))
    if len(arrays["roots"]):
        leaves = _leaves(arrays, features)
        scores += leaves.reshape(len(features), -1, scores.shape[1]).sum(axis=1)
    present, num_labels = arrays["present"], int(arrays["num_labels"][0])
    if not len(present):
        return scores.astype(np.float32)
    if scores.shape[1] == 1 and len(present) == 2:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    logits = np.full((len(features), num_labels), ABSENT)
    logits[:, present] = scores
    return logits.astype(np.float32)


def fit_forest(
    features: np.ndarray, targets: np.ndarray, num_outputs: int, options: Mapping[str, Any], seed: int
) -> dict[str, np.ndarray]:
    """A random forest on labels [N] (whole numbers) or values [N, 1]; `options` are scikit-learn's."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    numbers = targets.dtype.kind == "f"
    kind: Any = RandomForestRegressor if numbers else RandomForestClassifier
    random_state = seed_from("forest", seed) % 2**32
    model = kind(**options, random_state=random_state).fit(features, targets[:, 0] if numbers else targets)
    trees = [tree.tree_ for tree in model.estimators_]
    arrays = _joined(
        {"value": tree.value[:, 0, :], "feature_idx": np.maximum(tree.feature, 0), "num_threshold": tree.threshold,
         "left": tree.children_left, "right": tree.children_right, "is_leaf": tree.children_left < 0}
        for tree in trees
    )  # fmt: skip
    present = np.zeros(0) if numbers else model.classes_
    return {**arrays, "present": present.astype(np.int64), "num_labels": np.array([num_outputs])}


def forest_outputs(arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """float32 [N, C]: log of the mean over trees of the leaf's shares of labels; or [N, 1], the mean of its values."""
    narrow = features.astype(np.float32)  # as scikit-learn compares them
    mean = _leaves(arrays, narrow).mean(axis=1)
    if not len(arrays["present"]):
        return mean.astype(np.float32)
    logits = np.full((len(features), int(arrays["num_labels"][0])), ABSENT)
    logits[:, arrays["present"]] = np.log(np.maximum(mean, _LEAST_SHARE))
    return logits.astype(np.float32)


def _joined(trees: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Nodes of all trees one after the other, `left` and `right` as places among them all."""
    found = list(trees)
    sizes = [len(tree["left"]) for tree in found]
    first = np.cumsum([0, *sizes])
    arrays: dict[str, np.ndarray] = {
        name: np.concatenate([tree[name] for tree in found]).astype(kind) for name, kind in _NODE_FIELDS.items()
    }
    for name in ("left", "right"):
        arrays[name] += np.repeat(first[:-1], sizes)
    return {**arrays, "roots": first[:-1].astype(np.int64)}


def _leaves(arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """[N, T], or [N, T, C]: what each row's leaf of each tree says; left where a feature is at most the threshold."""
    place = np.tile(arrays["roots"], (len(features), 1))  # [N, T]
    while not arrays["is_leaf"][place].all():
        value = np.take_along_axis(features, arrays["feature_idx"][place], axis=1).astype(np.float64)
        below = np.where(value <= arrays["num_threshold"][place], arrays["left"][place], arrays["right"][place])
        place = np.where(arrays["is_leaf"][place], place, below)
    leaves: np.ndarray = arrays["value"][place]
    return leaves
