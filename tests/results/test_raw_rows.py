"""The rows behind records come back from the job's source, the same ones or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from raybench.core.errors import DataError
from raybench.data import load_dataset
from raybench.job import load_job
from raybench.results.raw_rows import by_id, datasets_of, of_job, source_of
from raybench.store import Store
from raybench.store.runs import JOB_DIRECTORY, RunDirectory
from raybench.tasks.catalog import get_task

JOB = """
name: rows
candidates:
  - baseline: majority
  - model: ./no-such-checkpoint
datasets:
  - name: mine
    source: csv
    data_files: {train: train.csv, test: test.csv}
    task: text-classification
    limit: {test: 2}
  - {name: secret, source: csv, data_files: {train: train.csv}, task: text-classification, private: true}
  - {name: code, source: "rows:load", task: text-classification}
"""
CODE = 'def load(): return [{"text": str(n), "label": "xy"[n % 2]} for n in range(90)]\n'


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A directory with a job, its data, and code beside it."""
    (tmp_path / "train.csv").write_text("text,label\nrain,wet\nsun,dry\n")
    (tmp_path / "test.csv").write_text("text,label\n<b>storm</b>,wet\nheat,dry\nfog,wet\n")
    (tmp_path / "rows.py").write_text(CODE)
    (tmp_path / "job.yaml").write_text(JOB)
    return tmp_path


@pytest.fixture
def run(beside: Path) -> RunDirectory:
    """What a run of it leaves."""
    run = Store.open(str(beside / "store")).run("rows-1")
    run.write_text("job.yaml", (beside / "job.yaml").read_text())
    run.write_json("environment.json", {JOB_DIRECTORY: str(beside)})
    return run


def fingerprint(beside: Path, dataset: str = "mine") -> str:
    spec = next(spec for spec in load_job(beside / "job.yaml").datasets if spec.name == dataset)
    return load_dataset(spec, get_task(spec.task, {}).columns, beside).fingerprint


def test_rows_come_back_by_id_with_the_names_of_their_labels(beside: Path, run: RunDirectory) -> None:
    rows = source_of(run, "mine").rows(fingerprint(beside))
    assert rows.num_rows == 2
    ids = rows.column("id").to_pylist()[::-1]
    found = by_id(rows, ids)
    assert found.column("id").to_pylist() == ids
    truth = {"<b>storm</b>": "wet", "heat": "dry", "fog": "wet"}
    assert all(truth[row["text"]] == row["label"] for row in found.to_pylist())


def test_a_source_with_other_rows_is_refused(beside: Path, run: RunDirectory) -> None:
    before = fingerprint(beside)
    (beside / "test.csv").write_text("text,label\nsnow,wet\nheat,dry\n")
    with pytest.raises(DataError, match="mine: its source holds other rows now"):
        source_of(run, "mine").rows(before)


def test_code_is_run_only_where_the_job_file_is_given(beside: Path, run: RunDirectory) -> None:
    with pytest.raises(DataError, match="'rows:load' is code, which is run only where the job file itself is given"):
        source_of(run, "code").rows("x")
    rows = of_job(load_job(beside / "job.yaml"), "code").rows(fingerprint(beside, "code"))
    assert set(rows.column("label").to_pylist()) <= {"x", "y"}


def test_what_cannot_be_found_is_one_line(beside: Path, run: RunDirectory) -> None:
    with pytest.raises(DataError, match="no row has the id 'zz'"):
        by_id(source_of(run, "mine").rows(fingerprint(beside)), ["zz"])
    with pytest.raises(DataError, match="keeps no job file that names it"):
        source_of(Store.open(str(beside / "store")).run("other"), "mine")
    with pytest.raises(DataError, match="has no split 'validation'; it has train, test"):
        source_of(run, "mine").rows(fingerprint(beside), "validation")


@pytest.mark.parametrize("text", ["", "[1, 2]", "datasets: 3", "datasets: [{source: csv}]", "a: !!python/x 1", "\x00"])
def test_a_job_that_cannot_be_read_names_no_datasets(run: RunDirectory, text: str) -> None:
    run.write_text("job.yaml", text)
    assert datasets_of(run) == []


def test_private_rows_are_given_to_nobody(beside: Path, run: RunDirectory) -> None:
    for source in (source_of(run, "secret"), of_job(load_job(beside / "job.yaml"), "secret")):
        with pytest.raises(DataError, match="secret: is private, as its job says"):
            source.rows("x")
