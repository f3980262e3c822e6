"""How hard examples are, by how many trials get them right."""

from __future__ import annotations

import pyarrow as pa
import pytest

from raybench.core.errors import MetricError
from raybench.results.difficulty import difficulties


def classes(predictions, targets=(0, 1, 0, 1), ids="abcd"):
    return pa.table({
        "id": list(ids), "target": pa.array(targets, pa.int32()), "prediction": pa.array(predictions, pa.int32()),
        "nll": pa.array([0.1] * len(ids), pa.float64()),
    })  # fmt: skip


def numbers(predictions):
    return pa.table({"id": list("abcdef"), "target": [0.0] * 6, "prediction": [float(one) for one in predictions]})


def test_an_example_is_as_hard_as_few_get_it_right():
    trials = [classes([0, 1, 0, 0]), classes([0, 1, 1, 0]), classes([0, 0, 1, 0])]
    assert difficulties(trials) == {"a": "easy", "b": "medium", "c": "hard", "d": "hard"}


def test_numbers_are_in_thirds_of_their_distance():
    found = difficulties([numbers([0, 1, 2, 3, 4, 5]), numbers([0, 1, 2, 3, 4, 5])])
    assert found == {"a": "easy", "b": "easy", "c": "medium", "d": "medium", "e": "hard", "f": "hard"}


def test_trials_of_other_examples_are_refused():
    with pytest.raises(MetricError, match="not scored on the same examples"):
        difficulties([classes([0, 1, 0, 0]), classes([0, 1, 0, 0], ids="abce")])


def test_records_that_tell_nothing_are_refused():
    with pytest.raises(MetricError, match="nothing in these records tells how wrong"):
        difficulties([pa.table({"id": ["a"]})])
