"""What makes an axis: training rows where nothing else differs, numbers at the end of names."""

from __future__ import annotations

from raybench.job import DatasetSpec
from raybench.results.learning_curves import checkpoint_axes, dataset_axes


def spec(name, rows=None, **more):
    limit = {"train": rows} if rows else {}
    return DatasetSpec.model_validate(
        {"name": name, "source": "x", "task": "text-classification", "limit": limit, **more}
    )


def test_datasets_that_differ_in_training_rows_alone_are_an_axis():
    (axis,) = dataset_axes([spec("bbc-300", 300), spec("bbc-100", 100), spec("other", 50, max_length=7)])
    assert (axis.title, axis.name, dict(axis.places)) == ("training rows", "bbc", {"bbc-100": 100.0, "bbc-300": 300.0})
    assert list(axis.places) == ["bbc-100", "bbc-300"]


def test_others_are_none():
    assert dataset_axes([spec("a", 100), spec("b", 300, max_length=7)]) == []
    assert dataset_axes([spec("a"), spec("b", 300)]) == []
    assert dataset_axes([spec("a", 100), spec("b", 100)]) == []
    assert dataset_axes([spec("a", 100), spec("b", 300, task_config={"x": 1})]) == []


def test_names_with_nothing_in_common_are_all_said():
    (axis,) = dataset_axes([spec("few", 10), spec("many", 100)])
    assert axis.name == "few, many"


def test_checkpoints_are_ordered_by_their_numbers():
    (axis,) = checkpoint_axes(["run/checkpoint-100", "run/checkpoint-20", "run/checkpoint-3", "base", "v2"])
    assert (axis.title, axis.name) == ("step", "run/checkpoint")
    assert list(axis.places.values()) == [3.0, 20.0, 100.0]
    assert checkpoint_axes(["a-1", "a-2"]) == []
    assert checkpoint_axes(["1", "2", "3"]) == []
