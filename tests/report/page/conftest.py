"""Reports made once: of a run that is all markup, and of a plain one."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from raybench.report.page.html import html_of
from raybench.report.page.make import make_report
from raybench.report.page.model import Report
from raybench.results.references import open_run
from raybench.results.stored import StoredRun
from tests.report.hostile import make_hostile_run
from tests.report.made_run import make_rows, make_run


class Made(NamedTuple):
    folder: Path
    run: StoredRun
    report: Report
    page: str


def fail(path: str, reason: str) -> None:
    raise AssertionError(f"{path}: {reason}")


def made(folder: Path, examples: bool = True) -> Made:
    run = open_run(str(folder / "store"), "", fail)
    report = make_report(run, fail, examples=examples)
    return Made(folder, run, report, html_of(report))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("hostile")
    make_hostile_run(folder, examples=60)
    return made(folder)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three candidates with two seeds on one dataset, and a fourth that failed."""
    folder = tmp_path_factory.mktemp("plain")
    make_run(
        folder,
        datasets={"topics": make_rows(150)},
        candidates={"good": 3.0, "fair": 2.0, "poor": 0.2},
        seeds=(0, 1),
        failed={"broken": "ModelError: no weights"},
    )
    return made(folder)
