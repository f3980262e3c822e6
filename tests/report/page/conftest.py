"""Reports made once: of a run that is all markup, and of a plain one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest

from raybench.report.page.html import html_of
from raybench.report.page.make import make_report
from raybench.report.page.model import DatasetPart, Report, Weighed, Why
from raybench.results.references import open_run
from raybench.results.stored import StoredRun
from tests.report.hostile import IMAGE, RIGHT_TO_LEFT, SCRIPT, make_hostile_run
from tests.report.made_run import make_rows, make_run


@dataclass(frozen=True)
class Made:
    folder: Path
    run: StoredRun
    report: Report

    @cached_property
    def page(self) -> str:
        """Drawn where it is read: its pictures take a second."""
        return html_of(self.report)


def fail(path: str, reason: str) -> None:
    raise AssertionError(f"{path}: {reason}")


def made(folder: Path, examples: bool = True) -> Made:
    run = open_run(str(folder / "store"), "", fail)
    return Made(folder, run, make_report(run, fail, examples=examples))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("hostile")
    make_hostile_run(folder, examples=60)
    plainly = made(folder)
    report = replace(plainly.report, datasets=tuple(map(explained, plainly.report.datasets)))
    return Made(folder, plainly.run, report)


def explained(part: DatasetPart) -> DatasetPart:
    """What answers hang on, all markup; a picture beside the text, and an answer that is another now."""
    pieces = ((f"{SCRIPT} ", 1.5), (f"{IMAGE} ", -0.75), (f"{RIGHT_TO_LEFT} ", 0.5), ("{{7*7}} ", 0.001))
    picture = "data:image/png;base64,iVBORw0KGgo="
    parts = (
        Weighed(column=IMAGE, pieces=pieces, unread=3),
        Weighed(column="image", pieces=(("row 1, column 2", -1.0),), picture=picture),
        Weighed(column="text_pair", pieces=()),
    )
    whys = tuple(
        Why(name=name, answer=SCRIPT, of=of, score=2.0, parts=parts, is_same=bool(of))
        for name, of in ((SCRIPT, RIGHT_TO_LEFT), (IMAGE, ""))
    )
    examples = part.examples
    assert examples is not None
    hardest = tuple(replace(example, whys=whys) for example in examples.hardest)
    return replace(part, examples=replace(examples, hardest=hardest, unexplained=(f"{SCRIPT} is not explained",)))


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
