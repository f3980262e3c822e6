"""A source that several datasets name is read once, with what each would have read alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from raybench.data import load_dataset
from raybench.data.shared_sources import SharedSources
from raybench.job import load_job
from raybench.job.spec import DatasetSpec
from raybench.planning.datasets import plan_datasets
from raybench.tasks.catalog import get_task

ROWS = """
from pathlib import Path
def load():
    with open(Path(__file__).with_name("read"), "a") as told:
        told.write("once ")
    return {split: [{"text": f"{split} {n}", "label": "ab"[n % 2], "other": "ba"[n % 3 == 0]} for n in range(20)]
            for split in ("train", "test")}
"""
JOB = """
name: shared
candidates: [{baseline: majority}]
datasets:
  - &first {name: ten, source: "rows.py:load", task: text-classification, limit: {train: 10}}
  - {<<: *first, name: five, limit: {train: 5}}
  - {<<: *first, name: other-label, limit: {}, columns: {label: other}}
  - {<<: *first, name: both-the-same, limit: {}, splits: {train: test, test: test}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.py").write_text(ROWS)
    (tmp_path / "job.yaml").write_text(JOB)
    return tmp_path


def test_it_is_read_once_and_each_has_the_rows_that_it_has_alone(folder: Path) -> None:
    job = load_job(folder / "job.yaml")
    planned = plan_datasets(job, SharedSources())
    assert (folder / "read").read_text() == "once "
    for spec in job.datasets:
        alone = load_dataset(spec, get_task(spec.task, {}).columns, folder)
        assert planned[spec.name].loaded.fingerprint == alone.fingerprint
        assert planned[spec.name].loaded.num_rows == alone.num_rows


def test_rows_are_let_go_with_their_last_reader(folder: Path) -> None:
    first, second = (
        DatasetSpec.model_validate({"name": name, "source": "rows.py:load", "task": "text-classification"})
        for name in ("first", "second")
    )
    sources = SharedSources([first, second])
    with sources.opened(first, folder) as source:
        pass
    with sources.opened(second, folder) as again:
        assert again is source
    with sources.opened(second, folder) as anew:
        assert anew is not source
