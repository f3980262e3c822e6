"""Scores of parts: whose they are, their order, and what cannot be sliced by."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from raybench.core import Status
from raybench.core.errors import StoreError
from raybench.core.words import slice_column
from raybench.metrics import MetricSet
from raybench.results.measure import Measured, Measurer, Measuring
from raybench.results.rescore import _record_column
from raybench.results.slices import slice_scores
from raybench.store.files import Files
from raybench.store.records import write_records
from raybench.store.trials import TrialRow


def measured(folder: Path, *, anew: bool) -> Measured:
    """Of records of which the first two are right, in a trial whose states say that all were."""
    how = Measuring(
        metrics=("accuracy",), metric_config={"labels": ["x", "y"]}, ranked=("accuracy",), slices=("source",),
        measures="accuracy", picks="", anew=anew,
    )  # fmt: skip
    right = pa.table({"id": list("abcd"), "target": [0, 1, 0, 1], "prediction": [0, 1, 0, 1]})
    files = Files(str(folder))
    write_records(files, "t", "basis", 0, 1, right.set_column(2, "prediction", pa.array([0, 1, 1, 0])))
    states = how.metric_set().states(right).to_bytes()
    row = TrialRow(
        trial_id="t", status=Status.OK, num_examples=4, states=states, provenance={"basis": "basis"},
    )  # fmt: skip
    rows = pa.table({"id": list("dbca"), slice_column("source"): ["web", "print", "web", "print"]})
    (found,) = Measurer(how, rows, files, pytest.fail).measure([row])
    return found


def test_a_part_is_scored_on_its_own_rows_whatever_their_order(tmp_path: Path) -> None:
    slices = measured(tmp_path, anew=False).slices
    assert {name: scores["accuracy"].value for name, scores in slices.items()} == {
        "source=print": 1.0, "source=web": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(("anew", "value"), [(False, 1.0), (True, 0.5)])
def test_metrics_of_code_that_may_have_changed_are_taken_of_the_records(
    tmp_path: Path, anew: bool, value: float
) -> None:
    assert measured(tmp_path, anew=anew).scores["accuracy"].value == value


def test_parts_stand_in_the_order_of_their_numbers() -> None:
    records = pa.table({"id": ["a", "b", "c", "d"], "target": [0, 1, 0, 1], "prediction": [0, 1, 1, 1]})
    lengths = pa.array(["100+ words", "21–99 words", "0–9 words", "10–20 words"])
    scores = slice_scores(MetricSet(["accuracy"], {"labels": ["x", "y"]}), records, {"length": lengths})
    assert list(scores) == [f"length={part}" for part in ("0–9 words", "10–20 words", "21–99 words", "100+ words")]
    assert [one["accuracy"].value for one in scores.values()] == [0.0, 1.0, 1.0, 1.0]


def test_records_without_lengths_say_how_to_have_them() -> None:
    with pytest.raises(StoreError, match=r"^slice 'length': .* slices: \[length\] of the dataset, and rank the job"):
        _record_column("length", pa.table({"id": ["a"]}))
