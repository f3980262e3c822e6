"""A folder with a job and its data, and what commands say of what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Said

TRAIN = "text,label\n" + "".join(f"word{i} text,{'abc'[i % 3]}\n" for i in range(30))
TEST = "text,label\n" + "".join(f"other{i} text,{'abc'[i % 3]}\n" for i in range(12))
JOB = """\
name: small
store: ./store
candidates:
{candidates}
datasets:
  - {dataset}
{more}
"""
MAJORITY = "  - baseline: majority"
TEXTS = "{name: rows, source: csv, data_files: {train: train.csv, test: test.csv}, task: text-classification}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the job and its rows lie, and the command is called."""
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "test.csv").write_text(TEST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def job(folder: Path) -> Callable[..., None]:
    def write(candidates: str = MAJORITY, dataset: str = TEXTS, more: str = "", text: str | None = None) -> None:
        made = JOB.format(candidates=candidates, dataset=dataset, more=more) if text is None else text
        (folder / "job.yaml").write_text(made)

    return write


@pytest.fixture
def refused(command: Callable[..., Said]) -> Callable[..., str]:
    """The one line that a command ends with."""

    def refused(*arguments: str, code: int = 2) -> str:
        said = command(*arguments)
        assert said.code == code, said
        assert len(said.err.strip().splitlines()) == 1, said.err
        assert len(said.err) < 1500
        return said.err.strip()

    return refused


@pytest.fixture
def spoiled(command: Callable[..., Said]) -> Callable[..., str]:
    """Why the candidate `m` cannot start, where the baseline beside it can."""

    def spoiled(status: str = "failed") -> str:
        said = command("plan", "job.yaml")
        assert (said.code, said.err) == (0, "")
        assert f"2 trials (1 new, 1 {status})" in said.out, said.out
        lines = [line for line in said.out.splitlines() if line.startswith("m on ")]
        assert len(lines) == 1, said.out
        return lines[0]

    return spoiled
