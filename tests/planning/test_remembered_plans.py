"""A plan of what was planned before: the same, without reading rows or opening a model; and never a stale one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from raybench.core import stamps
from raybench.core.errors import DataError
from raybench.data import shared_sources
from raybench.data.later import LaterSplits
from raybench.job import parse_job
from raybench.planning.plan import Plan, make_plan

JOB = """
name: remembered
candidates:
  - baseline: majority
  - {model: MODEL, name: frozen, method: frozen}
  - {model: MODEL, name: full, method: full}
  - {model: MODEL, name: as-it-is, method: none}
datasets:
  - {name: rows, source: csv, data_files: {train: train.csv, test: test.csv}, task: text-classification}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, for which files count as settled at once."""
    monkeypatch.setenv("RAYBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stamps, "_SETTLED_SECONDS", -1.0)
    stamps.installed_stamp.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def planned(tmp_path: Path, tiny_bert: Path) -> Callable[[], Plan]:
    """The plan of a job on files in a folder, as they are now."""
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"bank {i},{'ab'[i % 2]}\n" for i in range(20)))
    (tmp_path / "test.csv").write_text("text,label\n" + "".join(f"goal {i},{'ab'[i % 2]}\n" for i in range(10)))
    model = tmp_path / "model"
    model.mkdir()
    for file in tiny_bert.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    return lambda: make_plan(parse_job(JOB.replace("MODEL", str(model)), str(tmp_path / "job.yaml")))


def told(plan: Plan) -> list[object]:
    """All that a plan says but for its rows."""
    spec = plan.datasets["rows"]
    return [plan.run_id, plan.trials, plan.notes, plan.data, spec.metrics, spec.measures, spec.loaded.num_rows]


def change(file: Path, before: bytes, after: bytes) -> None:
    """In place, with the size and the time that it had."""
    seen, data = file.stat(), file.read_bytes()
    assert len(before) == len(after)
    assert before in data
    with file.open("r+b") as opened:
        opened.write(data.replace(before, after, 1))
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (seen.st_size, seen.st_mtime_ns)


def test_the_second_plan_is_the_first_and_reads_rows_when_they_are_asked_for(
    planned: Callable[[], Plan],
) -> None:
    first, second = planned(), planned()
    assert told(second) == told(first)
    assert [one.problem is None for one in second.trials] == [True, True, True, False]  # and why not is remembered too
    rows = second.datasets["rows"].loaded.splits
    assert isinstance(rows, LaterSplits)
    assert not isinstance(first.datasets["rows"].loaded.splits, LaterSplits)
    assert {name: table.to_pylist() for name, table in rows.items()} == {
        name: table.to_pylist() for name, table in first.datasets["rows"].loaded.splits.items()
    }


def test_rows_remembered_are_read_once_of_a_source_that_several_datasets_name(
    planned: Callable[[], Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned()  # writes the files
    files = "source: csv, data_files: {train: train.csv, test: test.csv}, task: text-classification"
    entries = [f"  - {{name: curve-{n}, {files}, limit: {{train: {n}}}}}" for n in (5, 10, 20)]
    job = parse_job(f"{JOB.split('  - {model')[0]}datasets:\n" + "\n".join(entries), str(tmp_path / "job.yaml"))
    first, second = make_plan(job), make_plan(job)
    opened = []
    open_source = shared_sources.open_source
    monkeypatch.setattr(shared_sources, "open_source", lambda *given: opened.append(given) or open_source(*given))
    for name in ("curve-5", "curve-20"):
        assert second.datasets[name].loaded.splits["train"].equals(first.datasets[name].loaded.splits["train"])
    assert len(opened) == 1
    second.sources.let_go()
    assert second.datasets["curve-10"].loaded.splits["train"].equals(first.datasets["curve-10"].loaded.splits["train"])
    assert len(opened) == 2


def test_a_row_that_changes_in_place_with_equal_size_and_time_is_seen(
    planned: Callable[[], Plan], tmp_path: Path
) -> None:
    first = planned()
    change(tmp_path / "test.csv", b"goal 3", b"goal x")
    assert planned().datasets["rows"].loaded.fingerprint != first.datasets["rows"].loaded.fingerprint


def test_a_file_of_a_model_that_changes_in_place_with_equal_size_and_time_is_seen(
    planned: Callable[[], Plan], tmp_path: Path
) -> None:
    first = planned()
    config = tmp_path / "model" / "config.json"
    change(config, b'"max_position_embeddings": 64', b'"max_position_embeddings": 48')
    second = planned()
    assert [one.trial.trial_id for one in second.trials[1:3]] != [one.trial.trial_id for one in first.trials[1:3]]
    assert second.trials[1].processor != first.trials[1].processor
    change(config, b'"max_position_embeddings": 48', b'"max_position_embeddings": -1')
    assert "max_position_embeddings" in str(planned().trials[1].problem)


def test_a_new_file_of_a_model_is_seen(planned: Callable[[], Plan], tmp_path: Path) -> None:
    planned()
    (tmp_path / "model" / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Dense"}]))
    (tmp_path / "model" / "1_Pooling").mkdir()
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text("{torn")
    assert planned().trials[1].problem is not None


@pytest.mark.parametrize(
    "tear", [lambda data: data[: len(data) // 2], lambda data: data[:-2] + b"9]", lambda data: b""]
)
def test_a_torn_memory_is_made_anew(planned: Callable[[], Plan], cache: Path, tear: Callable[[bytes], bytes]) -> None:
    first = planned()
    files = {file: file.read_bytes() for file in cache.rglob("*.json")}
    assert len(files) == 4  # rows, and a model in three ways
    for file, data in files.items():
        file.write_bytes(tear(data))
    assert told(planned()) == told(first)
    assert {file: file.read_bytes() for file in cache.rglob("*.json")} == files


def test_rows_that_change_between_plan_and_use_are_one_line_and_planned_anew(
    planned: Callable[[], Plan], tmp_path: Path
) -> None:
    planned()
    second = planned()
    change(tmp_path / "test.csv", b"goal 3", b"goal x")
    with pytest.raises(DataError, match="dataset rows: its rows have changed meanwhile; run the same command again"):
        second.datasets["rows"].loaded.splits["test"]
    third = planned()
    assert third.datasets["rows"].loaded.splits["test"].num_rows == 10
    assert third.run_id != second.run_id


def test_rows_of_code_beside_the_job_are_read_each_time(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\n"
        "def rows():\n"
        "    words = Path(__file__).with_name('words.txt').read_text().split()\n"
        "    return {s: [{'text': w, 'label': 'ab'[i % 2]} for i, w in enumerate(words)] for s in ('train', 'test')}\n"
    )
    text = JOB.replace("source: csv, data_files: {train: train.csv, test: test.csv}", "source: 'mine.py:rows'")
    text = "\n".join(line for line in text.splitlines() if "MODEL" not in line)
    fingerprints = set()
    for words in ("one two three", "one two four", "one two five"):
        (tmp_path / "words.txt").write_text(words)
        plan = make_plan(parse_job(text, str(tmp_path / "job.yaml")))
        fingerprints.add(plan.datasets["rows"].loaded.fingerprint)
    assert len(fingerprints) == 3
