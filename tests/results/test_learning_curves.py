"""What makes an axis: training rows where nothing else differs, numbers at the end of names."""

from __future__ import annotations

from raybench.job import DatasetSpec
from raybench.results.learning_curves import checkpoint_axes, dataset_axes, strength_axes


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


def perturbed(name, **perturb):
    return DatasetSpec.model_validate({"name": name, "like": "bbc", "perturb": perturb})


def test_strengths_of_one_perturbation_are_an_axis_from_the_original_on():
    given = [perturbed("many", typos=0.5), perturbed("some", typos=0.1), perturbed("loud", case=1)]
    (axis,) = strength_axes([spec("bbc"), *given, perturbed("both", typos=0.3, case=1)])
    assert (axis.title, axis.name) == ("strength of typos", "bbc")
    assert list(axis.places.items()) == [("bbc", 0.0), ("some", 0.1), ("many", 0.5)]
    assert list(strength_axes(given)[0].places) == ["some", "many"]


def test_one_strength_or_the_same_twice_is_no_axis():
    assert strength_axes([spec("bbc"), perturbed("some", typos=0.1)]) == []
    assert strength_axes([spec("bbc"), perturbed("some", typos=0.1), perturbed("again", typos=0.1)]) == []


def test_checkpoints_are_ordered_by_their_numbers():
    (axis,) = checkpoint_axes(["run/checkpoint-100", "run/checkpoint-20", "run/checkpoint-3", "base", "v2"])
    assert (axis.title, axis.name) == ("step", "run/checkpoint")
    assert list(axis.places.values()) == [3.0, 20.0, 100.0]
    assert checkpoint_axes(["a-1", "a-2"]) == []
    assert checkpoint_axes(["1", "2", "3"]) == []
