"""Classic models of rows of numbers and categories: `tabular-linear`, `random-forest`, `gradient-boosting`."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import pyarrow as pa

from raybench.core import DatasetKey
from raybench.recipes.baselines.baseline import Arrays
from raybench.recipes.baselines.linear import logistic_regression, ridge_regression
from raybench.recipes.baselines.record_features import fit_encoder, record_features
from raybench.recipes.baselines.targets import standard_values
from raybench.recipes.trees import boosting_outputs, fit_boosting, fit_forest, forest_outputs

__all__ = ["GradientBoostedRecords", "LinearRecords", "RandomForestRecords"]

Fitted = dict[str, np.ndarray]


class _OnRecords(ABC):
    """A model of features [N, D] whose targets are labels [N], or values [N, 1] in standard deviations."""

    tasks = ("tabular-classification", "tabular-regression")
    version = 1
    name: str

    def fit(self, rows: pa.Table, dataset: DatasetKey, seed: int) -> Fitted:
        encoder = fit_encoder(rows, self.name)
        if dataset.labels:
            targets = rows.column("label").to_numpy()
        else:
            targets = standard_values(rows, dataset).astype(np.float32)[:, None]
        return {**encoder, **self.fit_model(record_features(encoder, rows), targets, max(1, len(dataset.labels)), seed)}

    def outputs(self, arrays: Arrays, rows: pa.Table, dataset: DatasetKey) -> np.ndarray:
        return self.predict(arrays, record_features(arrays, rows))

    @abstractmethod
    def fit_model(self, features: np.ndarray, targets: np.ndarray, num_outputs: int, seed: int) -> Fitted:
        """Arrays."""

    @abstractmethod
    def predict(self, arrays: Arrays, features: np.ndarray) -> np.ndarray:
        """float32 [N, C]."""


class LinearRecords(_OnRecords):
    """scikit-learn's LogisticRegression(C=1) or Ridge(alpha=1)."""

    name = "tabular-linear"

    def fit_model(self, features: np.ndarray, targets: np.ndarray, num_outputs: int, seed: int) -> Fitted:
        if targets.dtype.kind == "f":
            return ridge_regression(features, targets)
        return logistic_regression(features, targets, num_outputs)

    def predict(self, arrays: Arrays, features: np.ndarray) -> np.ndarray:
        return np.asarray(features @ arrays["weight"] + arrays["bias"], dtype=np.float32)


class RandomForestRecords(_OnRecords):
    """scikit-learn's RandomForestClassifier or RandomForestRegressor: 100 trees, leaves of 5 rows at least."""

    name = "random-forest"

    def fit_model(self, features: np.ndarray, targets: np.ndarray, num_outputs: int, seed: int) -> Fitted:
        return fit_forest(features, targets, num_outputs, {"n_estimators": 100, "min_samples_leaf": 5}, seed)

    def predict(self, arrays: Arrays, features: np.ndarray) -> np.ndarray:
        return forest_outputs(arrays, features)


class GradientBoostedRecords(_OnRecords):
    """scikit-learn's HistGradientBoosting, 100 rounds."""

    name = "gradient-boosting"

    def fit_model(self, features: np.ndarray, targets: np.ndarray, num_outputs: int, seed: int) -> Fitted:
        return fit_boosting(features, targets, num_outputs, {"max_iter": 100}, seed)

    def predict(self, arrays: Arrays, features: np.ndarray) -> np.ndarray:
        return boosting_outputs(arrays, features)
