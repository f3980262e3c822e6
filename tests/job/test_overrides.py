"""What a command says in place of the file: values by key, and only some candidates or datasets."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from raybench.core.errors import JobError
from raybench.job import load_job, only, parse_job

JOB = """\
name: topics
candidates:
  - {model: org/bert, name: bert, method: frozen}
  - {model: org/minilm, name: minilm, method: {name: full, epochs: 2}}
  - baseline: majority
datasets:
  - {name: reviews, source: imdb, task: text-classification}
  - {name: news, source: ag_news, task: text-classification}
"""


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("seeds=[0, 1]", ("seeds",), [0, 1]),
        ("store=s3://bucket/x=1", ("store",), "s3://bucket/x=1"),
        ("candidates[1].method.epochs=3", ("candidates", 1, "method", "epochs"), 3),
        ("candidates.minilm.method.learning_rate=1e-4", ("candidates", 1, "method", "learning_rate"), 1e-4),
        ("candidates.bert.method.epochs=8", ("candidates", 0, "method"), {"name": "frozen", "epochs": 8}),
        ("resources.actors=2", ("resources", "actors"), 2),
        ("datasets.news.limit={train: 10}", ("datasets", 1, "limit", "train"), 10),
    ],
)  # fmt: skip
def test_a_setting_stands_in_the_jobs_text(setting: str, path: tuple[str | int, ...], value: Any) -> None:
    kept: Any = yaml.safe_load(parse_job(JOB, "jobs/x.yaml", [setting]).text)
    for step in path:
        kept = kept[step]
    assert kept == value


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("seeds", "--set seeds: want key=value"),
        ("=3", "--set =3: want key=value"),
        ("candidates[9].name=x", "--set candidates[9].name: there are 3 items, numbered from 0"),
        ("candidates.minlm.name=x", "--set candidates.minlm.name: none is named 'minlm'; did you mean minilm?"),
        ("name.first=x", "--set name.first: nothing stands below 'first'"),
        ("seeds=[0", "--set seeds:1: not YAML"),
        ("seds=[0]", "jobs/x.yaml:1: seds: unknown key; did you mean seeds?"),
        ("seeds=often", "jobs/x.yaml:1: seeds: want a list"),
    ],
)
def test_a_setting_that_leads_nowhere_is_one_line(setting: str, line: str) -> None:
    with pytest.raises(JobError) as told:
        parse_job(JOB, "jobs/x.yaml", [setting])
    assert line in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("names", "candidates", "datasets"),
    [
        ([], ["bert", "minilm", "majority"], ["reviews", "news"]),
        (["minilm"], ["minilm"], ["reviews", "news"]),
        (["news", "m*"], ["minilm", "majority"], ["news"]),
        (["majority", "bert"], ["bert", "majority"], ["reviews", "news"]),
    ],
)
def test_only_what_is_named_is_left_of_its_kind(names: list[str], candidates: list[str], datasets: list[str]) -> None:
    job = only(parse_job(JOB, "jobs/x.yaml"), names)
    assert [one.name for one in job.candidates] == candidates
    assert [one.name for one in job.datasets] == datasets
    assert job.where(job.datasets[0]).startswith("jobs/x.yaml:")


def test_a_name_that_is_neither_is_one_line() -> None:
    with pytest.raises(JobError, match=r"--only new: no candidate and no dataset of the job; did you mean news\?"):
        only(parse_job(JOB, "jobs/x.yaml"), ["new"])


def test_a_file_is_read_with_settings(tmp_path: Any) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(JOB)
    assert load_job(path, ["seeds=[3]"]).seeds == (3,)
