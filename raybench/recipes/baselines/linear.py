"""scikit-learn's logistic regression as arrays over the dataset's labels, absent ones included."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["logistic_regression"]

_ABSENT = -1e4  # the logit of a label that no training row has: probability 0 in float32, and finite


def logistic_regression(
    features: Any, labels: np.ndarray, num_labels: int, max_iter: int = 1000
) -> dict[str, np.ndarray]:
    """`weight` [H, C] and `bias` [C], float64, from LogisticRegression(C=1)."""
    from sklearn.linear_model import LogisticRegression

    weight = np.zeros((features.shape[1], num_labels))
    bias = np.full(num_labels, _ABSENT)
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
