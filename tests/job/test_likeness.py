"""`like`: what a dataset does not say is its original's; each mistake is one line with its place."""

from __future__ import annotations

from collections.abc import Callable

import jsonschema
import pytest
import yaml

from raybench.job import Job, job_schema
from raybench.job.overrides import only
from raybench.job.perturbations import PERTURBATIONS
from tests.job.conftest import JOB

Parse = Callable[..., Job]
ORIGINAL = (
    "  - {name: reviews, source: imdb, revision: abc, task: text-classification, max_length: 7, private: true, "
    "slices: [length], splits: {train: train, test: test}, limit: {train: 9}, columns: {text: body}}\n"
)
TEXT = JOB.replace("  - {name: reviews, source: imdb, task: text-classification}\n", ORIGINAL)


def with_more(*entries: str) -> str:
    return TEXT + "".join(f"  - {{{entry}}}\n" for entry in entries)


def test_where_rows_are_perturbed_all_else_is_as_in_the_original(parse: Parse) -> None:
    original, sibling = parse(text=with_more("like: reviews, perturb: [typos, case]")).datasets
    assert (sibling.name, sibling.perturb) == ("reviews-typos-case", {"typos": 0.1, "case": 0.5})
    own = {"name", "like", "perturb"}
    assert sibling.model_dump(exclude=own) == original.model_dump(exclude=own)
    assert sibling.original is original


def test_another_source_has_the_task_of_the_original_and_columns_of_its_own(parse: Parse) -> None:
    text = with_more("name: other, like: reviews, source: yelp, limit: {test: 5}")
    original, sibling = parse(text=text).datasets
    assert (sibling.task, sibling.max_length) == (original.task, 7)
    assert (sibling.source, sibling.columns, sibling.slices, sibling.limit.test) == ("yelp", {}, (), 5)
    assert sibling.private is False


def test_an_original_may_stand_below_and_be_like_another(parse: Parse) -> None:
    more = ("like: other, perturb: typos", "name: other, like: reviews, source: yelp")
    _, typos, other = parse(text=with_more(*more)).datasets
    assert (typos.source, typos.max_length, typos.original) == ("yelp", 7, other)


def test_only_a_sibling_keeps_what_it_is_like(parse: Parse) -> None:
    job = only(parse(text=with_more("name: s, like: reviews, perturb: typos")), ["s"])
    assert [(spec.name, spec.original.name) for spec in job.datasets if spec.original] == [("s", "reviews")]


@pytest.mark.parametrize("perturb", ["typos", "[typos, case]", "{typos: 0.2, blur: 1}"])
def test_the_schema_allows_what_is_read(perturb: str) -> None:
    data = yaml.safe_load(with_more(f"like: reviews, perturb: {perturb}") + "rank_by: {accuracy: 1, ece: 0.5}\n")
    jsonschema.validate(data, job_schema())


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("like: revews, perturb: typos", "like: no dataset of this job is named 'revews'; did you mean reviews?"),
        ("name: s, like: s, perturb: typos", "like: 's' is like this one itself, by way of `like`"),
        ("name: s, like: reviews", "like wants test rows that are others: perturb, or a source of its own"),
        (
            "name: s, source: x, task: text-classification, perturb: typos",
            "perturb wants like: the name of the dataset whose test rows are perturbed",
        ),
        ("like: reviews, perturb: [tpyos]", "perturb: unknown perturbation 'tpyos'; did you mean typos?"),
        ("like: reviews, perturb: [typos, typos]", "perturb: a perturbation stands in it twice"),
        (
            "like: reviews, perturb: {typos: 2}",
            "perturb: typos: 2: want a number above 0 and at most 1, the share of words with a letter swapped, ",
        ),
        ("like: reviews, perturb: []", "perturb: want perturbations, such as [typos, case], or with strengths "),
        (
            "like: reviews, perturb: [blur]",
            "perturb: blur is for pictures, and text-classification has none that could be others and mean the same",
        ),
        (
            "like: reviews, perturb: typos, max_length: 9",
            "max_length: where test rows are perturbed, all else is as in 'reviews'; leave max_length out",
        ),
        (
            "like: reviews, source: x, max_length: 9",
            "max_length: max_length is that of 'reviews', for nothing else is fitted; leave it out",
        ),
        ("like: reviews, source: x, splits: {train: a}", "splits.train: its train rows are those of "),
        ("name: s, source: x", "task is missing: text-classification, "),
        ("name: s, task: text-classification", "source is missing: a hub id; "),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place(wrong: Callable[..., str], entry: str, line: str) -> None:
    message = wrong(text=with_more(entry))
    told = message.removeprefix("jobs/x.yaml:6: datasets[1]").lstrip(".: ")
    assert told == line or (line.endswith(" ") and told.startswith(line)), message
    assert "\n" not in message


def test_a_perturbed_dataset_is_not_perturbed_again(wrong: Callable[..., str]) -> None:
    message = wrong(text=with_more("name: s, like: reviews, perturb: typos", "name: t, like: s, perturb: case"))
    assert message == (
        "jobs/x.yaml:7: datasets[2].like: 's' is perturbed itself; be like 'reviews', and name all perturbations"
    )


def test_a_mistake_of_the_original_is_told_once(wrong: Callable[..., str]) -> None:
    text = with_more("name: s, like: reviews, perturb: typos").replace("text-classification", "text-clasification")
    assert wrong(text=text).count("\n") == 0


@pytest.mark.parametrize("task", ["causal-lm", "masked-lm", "tabular-classification", "recommendation"])
def test_what_cannot_be_others_and_mean_the_same_is_not_perturbed(wrong: Callable[..., str], task: str) -> None:
    text = with_more("name: s, like: reviews, perturb: typos").replace("text-classification", task)
    assert wrong(text=text).startswith("jobs/x.yaml:6: datasets[1].")


def test_every_perturbation_is_for_texts_pictures_or_sounds_and_does_something() -> None:
    from raybench.data.perturbing.pictures import PICTURES
    from raybench.data.perturbing.sounds import SOUNDS
    from raybench.data.perturbing.texts import TEXTS

    assert {name for name, one in PERTURBATIONS.items() if "text" in one.kinds} == TEXTS.keys()
    assert {name for name, one in PERTURBATIONS.items() if "image" in one.kinds} == PICTURES.keys()
    assert {name for name, one in PERTURBATIONS.items() if "audio" in one.kinds} == SOUNDS.keys()
