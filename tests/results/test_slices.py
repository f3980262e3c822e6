"""Scores of parts: their order, and what cannot be sliced by."""

from __future__ import annotations

import pyarrow as pa
import pytest

from raybench.core.errors import StoreError
from raybench.metrics import MetricSet
from raybench.results.rescore import _record_column
from raybench.results.slices import slice_scores


def test_parts_stand_in_the_order_of_their_numbers() -> None:
    records = pa.table({"id": ["a", "b", "c", "d"], "target": [0, 1, 0, 1], "prediction": [0, 1, 1, 1]})
    lengths = pa.array(["100+ words", "21–99 words", "0–9 words", "10–20 words"])
    scores = slice_scores(MetricSet(["accuracy"], {"labels": ["x", "y"]}), records, {"length": lengths})
    assert list(scores) == [f"length={part}" for part in ("0–9 words", "10–20 words", "21–99 words", "100+ words")]
    assert [one["accuracy"].value for one in scores.values()] == [0.0, 1.0, 1.0, 1.0]


def test_records_without_lengths_say_how_to_have_them() -> None:
    with pytest.raises(StoreError, match=r"^slice 'length': .* slices: \[length\] of the dataset, and rank the job"):
        _record_column("length", pa.table({"id": ["a"]}))
