"""Classic models of records, and linear ones of texts, against the scikit-learn pipelines they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from raybench.core import DatasetKey
from raybench.core.errors import IncompatibleError
from raybench.core.identity import seed_from
from raybench.recipes.baselines.catalog import get_baseline
from raybench.tasks.catalog import get_task

LABELS = ("a", "b", "c")
FOREST, BOOSTING = seed_from("forest", 0) % 2**32, seed_from("boosting", 0) % 2**32


def records(count: int, seed: int) -> pa.Table:
    draw = np.random.default_rng(seed)
    size, kind = draw.normal(size=count), draw.integers(0, 4, count)
    label = ((size > 0).astype(int) + (kind == 2)).astype(np.int32)
    empty = draw.random(count) < 0.1
    features = [
        {"size": None if none else value, "kind": None if none and value > 0 else f"k{one}"}
        for value, one, none in zip(size.tolist(), kind, empty, strict=True)
    ]
    return pa.table(
        {
            "id": [str(place) for place in range(count)],
            "features": pa.array(features, pa.struct({"size": pa.float64(), "kind": pa.string()})),
            "label": label,
            "value": label * 2.5 + draw.normal(size=count) + 40,
        }
    )


def encoded(train: pa.Table, test: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    frames = [pd.DataFrame(rows["features"].to_pylist(), columns=["size", "kind"]) for rows in (train, test)]
    encoder = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["size"]),
        (OneHotEncoder(categories=[["k0", "k1", "k2", "k3"]], handle_unknown="ignore", sparse_output=False), ["kind"]),
    )
    return encoder.fit_transform(frames[0]), encoder.transform(frames[1])


def dataset_of(task: str, rows: pa.Table, labels: tuple[str, ...]) -> DatasetKey:
    statistics = get_task(task).statistics(rows)
    return DatasetKey(name="d", task=task, labels=labels, fingerprint="f", max_length=8, statistics=statistics)


def predicted(name: str, task: str, train: pa.Table, test: pa.Table) -> np.ndarray:
    """Probabilities, or values in the data's unit."""
    dataset = dataset_of(task, train, () if "regression" in task else LABELS)
    baseline = get_baseline(name)
    outputs = baseline.outputs(baseline.fit(train, dataset, 0), test, dataset)
    assert outputs.dtype == np.float32
    if "regression" in task:
        return outputs[:, 0] * dataset.statistics["std"] + dataset.statistics["mean"]
    if "multilabel" in task:
        return expit(outputs.astype(np.float64))
    shares = np.exp(outputs - outputs.max(1, keepdims=True)).astype(np.float64)
    return shares / shares.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("name", "model", "tolerance"),
    [
        ("tabular-linear", LogisticRegression(max_iter=1000), 1e-5),
        ("random-forest", RandomForestClassifier(100, min_samples_leaf=5, random_state=FOREST), 2e-3),  # least share
        ("gradient-boosting", HistGradientBoostingClassifier(early_stopping=False, random_state=BOOSTING), 1e-5),
    ],
)
def test_labels_of_records_are_told_as_by_scikit_learns_pipeline(name: str, model: Any, tolerance: float) -> None:
    train, test = records(150, 0), records(60, 1)
    features, others = encoded(train, test)
    expected = model.fit(features, train["label"].to_numpy()).predict_proba(others)
    assert np.abs(predicted(name, "tabular-classification", train, test) - expected).max() < tolerance


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("tabular-linear", Ridge()),
        ("random-forest", RandomForestRegressor(100, min_samples_leaf=5, random_state=FOREST)),
        ("gradient-boosting", HistGradientBoostingRegressor(early_stopping=False, random_state=BOOSTING)),
    ],
)
def test_numbers_of_records_are_told_as_by_scikit_learns_pipeline(name: str, model: Any) -> None:
    train, test = records(150, 0), records(60, 1)
    features, others = encoded(train, test)
    values = train["value"].to_numpy()
    standard = ((values - values.mean()) / values.std()).astype(np.float32)
    expected = model.fit(features, standard).predict(others) * values.std() + values.mean()
    np.testing.assert_allclose(predicted(name, "tabular-regression", train, test), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["tabular-linear", "random-forest", "gradient-boosting"])
def test_a_label_that_no_training_record_has_is_never_told(name: str) -> None:
    train = records(60, 0)
    train = train.set_column(2, "label", pa.array(train["label"].to_numpy() % 2, pa.int32()))
    assert predicted(name, "tabular-classification", train, records(40, 1))[:, 2].max() < 1e-6


def test_records_without_a_filled_cell_are_refused_by_name() -> None:
    kind = pa.struct({"kind": pa.string()})
    rows = records(6, 0).set_column(1, "features", pa.array([{"kind": None}] * 6, kind))
    with pytest.raises(IncompatibleError, match="random-forest: every cell of the training rows is empty"):
        predicted("random-forest", "tabular-classification", rows, rows)


def test_tfidf_one_vs_rest_is_scikit_learns(make_texts: Callable[..., pa.Table]) -> None:
    train, test = (_labelled(make_texts(*given)) for given in ((80,), (20, 1)))
    features = TfidfVectorizer(sublinear_tf=True).fit(train["text"].to_pylist())
    model = OneVsRestClassifier(LogisticRegression(max_iter=1000))
    targets = np.array([[place in row for place in range(3)] for row in train["labels"].to_pylist()])
    model.fit(features.transform(train["text"].to_pylist()), targets[:, :2])
    expected = model.predict_proba(features.transform(test["text"].to_pylist()))
    found = predicted("tfidf-one-vs-rest", "multilabel-text-classification", train, test)
    np.testing.assert_allclose(found[:, :2], expected, atol=1e-5)
    assert found[:, 2].max() < 1e-6, "no training row has it"


def test_tfidf_ridge_is_scikit_learns(make_texts: Callable[..., pa.Table]) -> None:
    train, test = (_labelled(make_texts(*given)) for given in ((80,), (20, 1)))
    vectorizer = TfidfVectorizer(sublinear_tf=True).fit(train["text"].to_pylist())
    model = Ridge(solver="cholesky").fit(vectorizer.transform(train["text"].to_pylist()).toarray(), train["value"])
    expected = model.predict(vectorizer.transform(test["text"].to_pylist()))
    np.testing.assert_allclose(predicted("tfidf-ridge", "text-regression", train, test), expected, rtol=1e-3)


def _labelled(rows: pa.Table) -> pa.Table:
    label = rows["label"].to_numpy()
    lists = pa.array([list(range(min(int(one), 2))) for one in label], pa.list_(pa.int32()))
    return rows.append_column("labels", lists).append_column("value", pa.array(label * 1.5 + 7))
