"""A job of models and data alone: what is written can be read, planned and overruled."""

from __future__ import annotations

from pathlib import Path

import pytest

from raybench.core.errors import DataError, JobError
from raybench.job import parse_job
from raybench.planning.first_job import first_job, given_columns, write_new
from raybench.planning.plan import make_plan


@pytest.fixture
def news(tmp_path: Path) -> Path:
    lines = [f"story {row} about {topic},{topic}" for row in range(60) for topic in [("sport", "war")[row % 2]]]
    path = tmp_path / "news.csv"
    path.write_text("\n".join(["body,topic", *lines]))
    return path


def test_the_job_is_one_that_plans_with_the_baselines_of_its_task(news: Path, tiny_bert: Path) -> None:
    first = first_job([str(tiny_bert)], str(news))
    made = make_plan(parse_job(first.text(), "try.yaml"))
    assert {one.trial.candidate for one in made.trials} == {"majority", "tfidf-logistic", first.candidate(0)}
    assert all(one.problem is None for one in made.trials)
    assert made.datasets["news"].loaded.labels == ("sport", "war")


def test_fine_tuning_stands_in_a_comment_until_it_is_asked_for(news: Path) -> None:
    first = first_job(["a/x", "b/x"], str(news))
    assert [one.name for one in parse_job(first.text()).candidates if one.model] == ["x-frozen", "x-2-frozen"]
    names = [one.name for one in parse_job(first.text(fine_tuned=[1])).candidates if one.model]
    assert names == ["x-frozen", "x-2-frozen", "x-2-full"]


@pytest.mark.parametrize(("low", "rank", "worth"), [(1, 3, [1]), (None, 1, [1]), (2, 2, []), (None, None, [])])
def test_what_may_be_the_best_is_worth_fine_tuning(
    news: Path, low: int | None, rank: int | None, worth: list[int]
) -> None:
    first = first_job(["a/x", "b/y"], str(news))
    rows = [{"candidate": "majority", "rank": 1, "rank_low": 1}, {"candidate": "x-frozen", "rank": 4, "rank_low": 3}]
    assert first.worth_fine_tuning([*rows, {"candidate": "y-frozen", "rank": rank, "rank_low": low}]) == worth


def test_more_rows_than_a_start_wants_are_limited_and_said(news: Path) -> None:
    first = first_job(["m"], str(news), rows=20)
    assert first.dataset["limit"] == {"train": 20, "test": 20}
    assert "a start: 20 rows of each split; take limit away for all" in first.said
    assert "limit" not in first_job(["m"], str(news)).dataset


def test_paths_are_relative_to_where_the_job_will_lie(news: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(news.parent)
    first = first_job(["m"], "news.csv", test="news.csv", output="jobs/new.yaml")
    assert first.dataset["data_files"] == {"train": "../news.csv", "test": "../news.csv"}


def test_a_task_and_columns_that_are_said_overrule_what_was_found(news: Path) -> None:
    first = first_job(["m"], str(news), task="causal-lm", columns={"text": "body"})
    assert (first.dataset["task"], first.dataset["columns"], first.method) == ("causal-lm", {"text": "body"}, "none")


def test_a_file_to_score_on_goes_with_a_file_to_fit_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--test goes with --data of a file"):
        first_job(["m"], str(tmp_path), test="x.csv")


@pytest.mark.parametrize("pair", ["text", "=a", "text="])
def test_a_column_that_is_no_pair_is_one_line(pair: str) -> None:
    with pytest.raises(JobError, match="want COLUMN OF THE TASK=COLUMN OF THE DATA"):
        given_columns([pair])


def test_a_job_file_that_is_there_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.yaml"
    write_new("name: x\n", str(path))
    assert "written to" in capsys.readouterr().out
    with pytest.raises(JobError, match="File exists"):
        write_new("name: y\n", str(path))
    assert path.read_text() == "name: x\n"
