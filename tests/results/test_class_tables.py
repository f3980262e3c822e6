"""Confusion matrices and scores by class, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from raybench.results.class_tables import class_scores, confusion

LABELS = ("a", "b", "c")


@pytest.fixture
def records():
    draw = np.random.default_rng(1)
    target = draw.integers(0, 3, 500)
    prediction = np.where(draw.random(500) < 0.7, target, draw.integers(0, 3, 500))
    return pa.table(
        {
            "id": [f"{n:04d}" for n in range(500)],
            "target": target.astype("int32"),
            "prediction": prediction.astype("int32"),
        }
    )


def test_the_confusion_matrix_is_scikit_learns(records):
    found = confusion(records, LABELS)
    assert np.array_equal(found.cells, confusion_matrix(records["target"], records["prediction"]))
    assert found.unclassed == 0


def test_answers_that_are_no_class_are_counted_apart(records):
    prediction = records["prediction"].to_numpy().copy()
    prediction[:7] = -1
    found = confusion(records.set_column(2, "prediction", pa.array(prediction)), LABELS)
    assert found.unclassed == 7
    assert sum(map(sum, found.cells)) == 493


def test_scores_by_class_are_scikit_learns(records):
    found = class_scores(records, {"labels": list(LABELS)})
    wanted = precision_recall_fscore_support(records["target"], records["prediction"])
    for measure, values in zip(("precision", "recall", "F1"), wanted, strict=False):
        assert [found[measure][label].value for label in LABELS] == pytest.approx(list(values))
        assert all(found[measure][label].low < found[measure][label].value for label in LABELS)


def test_numbers_have_no_classes():
    records = pa.table({"id": ["a", "b"], "target": [0.1, 0.2], "prediction": [0.1, 0.3]})
    assert confusion(records, LABELS) is None
    assert class_scores(records, {}) == {}
