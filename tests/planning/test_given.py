"""A job as a mapping, with rows in memory: the same as the file it could be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from raybench.core.errors import DataError, JobError
from raybench.planning.given import job_of
from raybench.planning.plan import make_plan

ROWS = {"text": [f"word{row} and more" for row in range(40)], "label": ["a", "b"] * 20}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def job(source: Any, **more: Any) -> dict[str, Any]:
    dataset = {"name": "mine", "source": source, "task": "text-classification", **more}
    return {"name": "n", "candidates": [{"baseline": "majority"}], "datasets": [dataset]}


def trial_id(source: Any, **more: Any) -> str:
    return make_plan(job_of(job(source, **more))).trials[0].trial.trial_id


def shapes() -> dict[str, Any]:
    import datasets

    return {
        "frame": pd.DataFrame(ROWS),
        "table": pa.table(ROWS),
        "dataset": datasets.Dataset.from_dict(ROWS),
        "dicts": [{"text": text, "label": label} for text, label in zip(ROWS["text"], ROWS["label"], strict=True)],
        "splits": {"train": pd.DataFrame(ROWS)},
    }


def test_rows_of_any_shape_are_the_trial_that_their_file_is(tmp_path: Path) -> None:
    pd.DataFrame(ROWS).to_csv(tmp_path / "rows.csv", index=False)
    expected = trial_id("csv", data_files={"train": "rows.csv"})
    assert {name: trial_id(rows) for name, rows in shapes().items()} == dict.fromkeys(shapes(), expected)


def test_splits_of_other_names_are_left_unless_they_are_asked_for() -> None:
    rows = {"train": pa.table(ROWS), "test": pa.table(ROWS), "unsupervised": pa.table({"text": ["x"]})}
    loaded = make_plan(job_of(job(rows))).datasets["mine"].loaded
    assert set(loaded.splits) == {"train", "test"}
    asked = job_of(job(rows, splits={"train": "train", "test": "train"}))
    assert "unsupervised" not in make_plan(asked).datasets["mine"].loaded.splits


def test_the_same_rows_are_kept_once(tmp_path: Path) -> None:
    for _ in range(2):
        job_of(job(pa.table(ROWS)))
    assert len(list((tmp_path / "cache" / "given").iterdir())) == 1


def test_what_is_no_rows_is_one_line() -> None:
    with pytest.raises(DataError, match="dataset mine: source 'given' gave a int; want a pyarrow"):
        job_of(job(3))


def test_what_no_job_file_can_hold_is_one_line() -> None:
    with pytest.raises(JobError, match="job: holds what no job file can"):
        job_of({**job("csv", data_files={"train": "x.csv"}), "seeds": object()})


def test_a_mistake_is_told_as_in_a_file() -> None:
    with pytest.raises(JobError, match="modle"):
        job_of({**job(pa.table(ROWS)), "candidates": [{"modle": "x"}]})
