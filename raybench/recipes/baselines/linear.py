"""scikit-learn's linear models as arrays: `weight` [H, C] and `bias` [C], float64."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["ABSENT", "logistic_regression", "one_vs_rest", "ridge_regression"]

ABSENT = -1e4  # the logit of a label that no training row has: probability 0 in float32, and finite


def logistic_regression(
    features: Any, labels: np.ndarray, num_labels: int, max_iter: int = 1000
) -> dict[str, np.ndarray]:
    """LogisticRegression(C=1) over the dataset's labels, absent ones included."""
    from sklearn.linear_model import LogisticRegression

    weight = np.zeros((features.shape[1], num_labels))
    bias = np.full(num_labels, ABSENT)
    present = np.unique(labels)
    if len(present) == 1:
        bias[present] = 0.0
        return {"weight": weight, "bias": bias}
    model = LogisticRegression(C=1.0, max_iter=max_iter).fit(features, labels)
    if len(present) == 2:  # scikit-learn keeps the difference of the two alone
        weight[:, present[1]], bias[present] = model.coef_[0], (0.0, model.intercept_[0])
    else:
        weight[:, present], bias[present] = model.coef_.T, model.intercept_
    return {"weight": weight, "bias": bias}


def one_vs_rest(features: Any, targets: np.ndarray) -> dict[str, np.ndarray]:
    """LogisticRegression(C=1) of each column of 0 and 1 [N, C]; a column all the same is told for certain."""
    from sklearn.linear_model import LogisticRegression

    weight, bias = np.zeros((features.shape[1], targets.shape[1])), np.zeros(targets.shape[1])
    for place, column in enumerate(targets.T):
        if column.min() == column.max():
            bias[place] = -ABSENT if column[0] else ABSENT
            continue
        model = LogisticRegression(C=1.0, max_iter=1000).fit(features, column)
        weight[:, place], bias[place] = model.coef_[0], model.intercept_[0]
    return {"weight": weight, "bias": bias}


def ridge_regression(features: Any, values: np.ndarray) -> dict[str, np.ndarray]:
    """Ridge(alpha=1) of values [N, C], by a solver that draws nothing."""
    from sklearn.linear_model import Ridge

    solver = "sparse_cg" if hasattr(features, "tocsr") else "cholesky"
    model = Ridge(alpha=1.0, solver=solver).fit(features, values)
    return {"weight": np.atleast_2d(model.coef_).T.astype(np.float64), "bias": np.ravel(model.intercept_)}
