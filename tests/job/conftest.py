"""A job's text with one part replaced, parsed as jobs/x.yaml; and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raybench.core.errors import JobError
from raybench.job import Job, parse_job

JOB = """\
name: topics
candidates:
  - {model: org/bert, method: frozen}
datasets:
  - {name: reviews, source: imdb, task: text-classification}
"""


@pytest.fixture
def parse() -> Callable[..., Job]:
    def parse(old: str = "", new: str = "", *, text: str = JOB) -> Job:
        assert old in text
        return parse_job(text.replace(old, new) if old else text + new, "jobs/x.yaml")

    return parse


@pytest.fixture
def wrong(parse: Callable[..., Job]) -> Callable[..., str]:
    def wrong(*args: str, **kwargs: str) -> str:
        with pytest.raises(JobError) as caught:
            parse(*args, **kwargs)
        return str(caught.value)

    return wrong
