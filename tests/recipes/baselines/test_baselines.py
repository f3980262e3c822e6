"""Baselines: what they know of labels, and that their arrays are all they need."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.data import packaged
from raybench.recipes.baselines.catalog import get_baseline
from raybench.runtime.trial import Checkpoint, fit_trial
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")


def test_majority_gives_every_row_the_labels_shares(
    make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> None:
    trial, rows = make_trial(ModelSpec(reference="baseline:majority")), make_texts(30)
    arrays = fit_trial(trial, rows, CPU).arrays
    outputs = get_baseline("majority").outputs(arrays, rows, trial.dataset)
    counts = np.bincount(rows.column("label").to_numpy(), minlength=3)
    assert outputs.argmax(1).tolist() == [counts.argmax()] * 30
    np.testing.assert_allclose(np.exp(outputs[0]), (counts + 1) / 33, rtol=1e-6)


def test_tfidf_is_scikit_learns_pipeline(make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    trial, train, test = make_trial(ModelSpec(reference="baseline:tfidf-logistic")), make_texts(80), make_texts(20, 1)
    checkpoint = Checkpoint.from_bytes(fit_trial(trial, train, CPU).to_bytes())
    outputs = get_baseline("tfidf-logistic").outputs(checkpoint.arrays, test, trial.dataset)
    reference = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(max_iter=1000))
    reference.fit(train.column("text").to_pylist(), train.column("label").to_numpy())
    expected = reference.predict_log_proba(test.column("text").to_pylist())
    np.testing.assert_allclose(torch.log_softmax(torch.from_numpy(outputs), -1).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("present", [[0], [0, 2], [0, 1, 3]])
def test_labels_without_training_rows_are_never_predicted(
    present: list[int], make_texts: Callable[..., pa.Table], make_trial: Callable[..., Trial]
) -> None:
    labels = ("a", "b", "c", "d")
    trial = make_trial(ModelSpec(reference="baseline:tfidf-logistic"), labels=labels)
    rows = make_texts(40)
    rows = rows.set_column(2, "label", pa.array(np.resize(present, 40).astype(np.int32)))
    arrays = fit_trial(trial, rows, CPU).arrays
    outputs = get_baseline("tfidf-logistic").outputs(arrays, rows, trial.dataset)
    assert outputs.shape == (40, 4)
    assert np.isfinite(outputs).all()
    assert set(outputs.argmax(1).tolist()) <= set(present)


def test_pixels_know_most_digits(make_trial: Callable[..., Trial]) -> None:
    digits = packaged.digits()
    names = tuple(str(i) for i in range(10))
    trial = make_trial(ModelSpec(reference="baseline:pixels-logistic"), task="image-classification", labels=names)
    task = get_task("image-classification")
    train, test = (task.prepare(digits[split], trial.model, 1) for split in ("train", "test"))
    outputs = get_baseline("pixels-logistic").outputs(fit_trial(trial, train, CPU).arrays, test, trial.dataset)
    assert np.mean(outputs.argmax(1) == test.column("label").to_numpy()) > 0.95


def pictures(count: int, size: int, label_of: Callable[[int], int]) -> pa.Table:
    """Noise whose colour, and only that, tells the label; each picture of its own size from `size` on."""
    from raybench.core.pictures import IMAGE

    draw = np.random.default_rng(0)
    cells = []
    for place in range(count):
        colour = np.eye(3)[label_of(place)] * 60
        array = (draw.integers(0, 120, (size + place % 3, size, 3)) + colour).astype(np.uint8)
        cells.append({"height": size + place % 3, "width": size, "channels": 3, "data": array.tobytes()})
    label = pa.array([label_of(place) for place in range(count)], pa.int32())
    return pa.table({"id": [str(i) for i in range(count)], "image": pa.array(cells, IMAGE), "label": label})


@pytest.mark.parametrize("name", ["pixels-logistic", "colour-boosting"])
def test_large_pictures_are_told_by_their_colours_at_the_cost_of_small_ones(
    name: str, make_trial: Callable[..., Trial]
) -> None:
    rows = pictures(60, 200, lambda place: place % 3)
    trial = make_trial(ModelSpec(reference=f"baseline:{name}"), task="image-classification", labels=("r", "g", "b"))
    task = get_task("image-classification")
    train, test = (task.prepare(part, trial.model, 1) for part in (rows.slice(0, 45), rows.slice(45)))
    arrays = fit_trial(trial, train, CPU).arrays
    outputs = get_baseline(name).outputs(arrays, test, trial.dataset)
    assert outputs.argmax(1).tolist() == test["label"].to_pylist()
    assert sum(array.size for array in arrays.values()) < 20_000  # of 120,000 numbers a picture


def test_a_number_is_told_by_colours(make_trial: Callable[..., Trial]) -> None:
    rows = pictures(45, 20, lambda place: place % 3)
    rows = rows.append_column("value", pa.array(rows["label"].to_numpy() * 2.0))
    trial = make_trial(ModelSpec(reference="baseline:colour-boosting"), task="image-regression", labels=())
    task = get_task("image-regression")
    train = task.prepare(rows, trial.model, 1)
    outputs = get_baseline("colour-boosting").outputs(fit_trial(trial, train, CPU).arrays, train, trial.dataset)
    assert np.corrcoef(outputs[:, 0], rows["value"].to_numpy())[0, 1] > 0.9
