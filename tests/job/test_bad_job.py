"""Each mistake in a job file is one line: its place, what was given, what would do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raybench.core.errors import JobError
from raybench.job import load_job

Wrong = Callable[..., str]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("model:", "modle:", "3: candidates[0].modle: unknown key; did you mean model?"),
        ("task:", "tsak:", "5: datasets[0].tsak: unknown key; did you mean task?"),
        ("", "resources: {actor: 2}", "6: resources.actor: unknown key; did you mean actors?"),
        ("", "metric: []", "6: metric: unknown key; did you mean metrics?"),
        ("name: topics", "name: 12", "1: name: want text, got 12; put it in quotes"),
        ("", "seeds: [0, 1.5]", "6: seeds[1]: want a whole number, got 1.5"),
        ("", "seeds: [0, true]", "6: seeds[1]: want a whole number, got true"),
        ("", "seeds: [-1]", "6: seeds[0]: want a number of at least 0, got -1"),
        ("", "seeds: []", "6: seeds: want at least one item, got none"),
        (
            "",
            "limits: [latency < 20]",
            "6: limits: want a limit such as 'latency_p95_ms <= 20', got [\"latency < 20\"]",
        ),
        ("", "limits: [latency_p95 <= 20]", "6: limits[0]: latency_p95 is neither a cost "),
        ("", "seeds: [4, 4]", "6: seeds[1]: 4 stands here twice"),
        ("", "resources: {actors: 0}", "6: resources.actors: want auto or a whole number from 1, got 0"),
        (
            "",
            "resources: {gpus_per_actor: none}",
            "6: resources.gpus_per_actor: want auto or a number from 0 to 1: a worker computes on one GPU, "
            'more are for more workers, got "none"',
        ),
        (
            "method: frozen",
            "init: scrach",
            '3: candidates[0].init: want pretrained or scratch, got "scrach"; did you mean scratch?',
        ),
        (
            "method: frozen",
            "method: 3",
            "3: candidates[0].method: want a method's name or {name: …, hyperparameter: …}, got 3",
        ),
        (
            "method: frozen",
            "baseline: majority",
            "3: candidates[0]: want exactly one of model, baseline and images, got 2",
        ),
        ("model: org/bert, ", "", "3: candidates[0]: want exactly one of model, baseline and images"),
        (
            "model: org/bert, method: frozen",
            "baseline: majority, num_layers: 3",
            "3: candidates[0]: a baseline has no num_layers",
        ),
        ("method: frozen", "grid: {epochs: 3}", "3: candidates[0].grid.epochs: want a list, got 3"),
        ("method: frozen", "grid: {epochs: []}", "3: candidates[0].grid.epochs: want at least one item, got none"),
        ("method: frozen", "grid: {epochs: [3, 3]}", "3: candidates[0]: grid.epochs holds 3 twice"),
        (
            "method: frozen",
            "method: {name: full, epochs: 2}, grid: {epochs: [3]}",
            "3: candidates[0]: epochs is set both in method and in grid",
        ),
        ("source: imdb", "source: csv", "5: datasets[0]: source csv wants data_files: {train: path, test: path}"),
        (
            "source: imdb",
            "source: imdb, limit: {test: 0}",
            "5: datasets[0].limit.test: want a number of at least 1, got 0",
        ),
        ("name: reviews", "name: '*'", '5: datasets[0].name: want text without * and control characters, got "*"'),
        ("", "store: $NO_SUCH_PLACE/x", "6: store: environment variable NO_SUCH_PLACE is not set"),
        ("org/bert", "./none/*", "3: candidates[0].model: no directory matches "),
        ("method: frozen", "method: frozn", "3: candidates[0].method: unknown method 'frozn'; did you mean frozen?"),
        (
            "model: org/bert, method: frozen",
            "baseline: majorty",
            "3: candidates[0].baseline: unknown baseline 'majorty'; did you mean majority?",
        ),
        (
            "model: org/bert, method: frozen",
            "baseline: majority, grid: {C: [1]}",
            "3: candidates[0].grid.C: baseline majority has no hyperparameter C",
        ),
        ("text-class", "test-class", "5: datasets[0].task: unknown task "),
        ("", "metrics: [acuracy]", "6: metrics[0]: unknown metric 'acuracy'; did you mean "),
        ("", "rank_by: acuracy", "6: rank_by: unknown metric 'acuracy'; did you mean "),
        ("", "rank_by: {accuracy: 1, acuracy: 2}", "6: rank_by.acuracy: unknown metric 'acuracy'; did you mean "),
        ("", "rank_by: {accuracy: 1, ece: -2}", "6: rank_by: the weight of ece is -2; want a number above 0 "),
        ("", "rank_by: {accuracy: much, ece: 1}", "6: rank_by: the weight of accuracy is much; want a number above 0 "),
        ("", "rank_by: {}", "6: rank_by: want a metric, or several with weights such as {macro_f1: 2, ece: 1}"),
        ("", "rank_by: [accuracy, ece]", "6: rank_by: want text, got "),
        ("", "rank_by: 2 accuracy + 1 accuracy", "6: rank_by: a metric stands in it twice"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(wrong: Wrong, old: str, new: str, line: str) -> None:
    message = wrong(old, new)
    assert message == f"jobs/x.yaml:{line}" or (line.endswith(" ") and message.startswith(f"jobs/x.yaml:{line}"))
    assert "\n" not in message


def test_a_missing_key_says_what_it_means(wrong: Wrong) -> None:
    assert wrong(", task: text-classification", "").startswith("jobs/x.yaml:5: datasets[0]: task is missing: ")


def test_all_mistakes_are_told_at_once_in_the_order_of_lines(wrong: Wrong) -> None:
    text = "nam: x\ncandidates:\n  - {model: 3, init: no}\n  - {}\ndatasets: []\n"
    found = [line.split(": ")[1] for line in wrong(text=text).splitlines()]
    assert found == ["nam", "candidates[0].init", "candidates[0].model", "candidates[1]", "datasets"]


def test_a_hyperparameter_that_the_method_lacks_has_its_place(wrong: Wrong) -> None:
    message = wrong(
        "{model: org/bert, method: frozen}", "model: org/bert\n    method:\n      name: full\n      learning_rat: 1"
    )
    assert message.startswith("jobs/x.yaml:6: candidates[0].method.learning_rat: ")
    assert "did you mean learning_rate" in message


def test_a_hyperparameter_of_the_grid_has_its_place(wrong: Wrong) -> None:
    message = wrong("method: frozen}", "method: full,\n     grid: {epoch: [1, 2]}}")
    assert message.startswith("jobs/x.yaml:4: candidates[0].grid.epoch: ")
    assert "\n" not in message


def test_a_hyperparameter_written_beside_the_method_is_told_where_it_goes(wrong: Wrong) -> None:
    assert "goes into method: {name: …, epochs: …}" in wrong("method: frozen", "method: full, epochs: 2")


def test_two_candidates_of_one_name_are_named_with_both_lines(wrong: Wrong) -> None:
    message = wrong("datasets:", "  - model: other/bert\n    name: bert\ndatasets:")
    assert message.startswith("jobs/x.yaml:5: candidates[1].name: two candidates are named 'bert', the first on line 3")


def test_two_datasets_of_one_name_are_named_with_both_lines(wrong: Wrong) -> None:
    message = wrong("", "  - {name: reviews, source: yelp, task: text-classification}\n")
    assert message.startswith("jobs/x.yaml:6: datasets[1].name: two datasets are named 'reviews', the first on line 5")


@pytest.mark.parametrize(("text", "given"), [("", "an empty file"), ("- 1", "a list"), ("x", "a single value")])
def test_a_file_that_is_no_mapping_says_what_it_is(wrong: Wrong, text: str, given: str) -> None:
    assert wrong(text=text).endswith(f"got {given}")


def test_a_job_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"gone\.yaml: no such job file$"):
        load_job(tmp_path / "gone.yaml")


def test_a_job_file_that_is_a_directory_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="cannot be read"):
        load_job(tmp_path)


def test_a_job_file_that_is_not_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(JobError, match="cannot be read"):
        load_job(tmp_path / "x.yaml")
