"""The command line: fast help, one line and exit code 2 for what a user can mend, nothing started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "raybench"]
JOB = """
name: small
store: {store}
candidates:
  - baseline: majority
{candidates}
datasets:
  - {{name: rows, source: csv, data_files: {{train: train.csv, test: test.csv}}, task: text-classification{dataset}}}
"""


def process(*arguments):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Writes a job with data beside it, where commands are called."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"word{i} text,{'ab'[i % 2]}\n" for i in range(20)))
    (tmp_path / "test.csv").write_text("text,label\n" + "".join(f"other{i} text,{'ab'[i % 2]}\n" for i in range(10)))

    def write(store="./store", candidates="", dataset=""):
        text = JOB.format(store=store, candidates=candidates, dataset=dataset)
        (tmp_path / "job.yaml").write_text(text)
        return tmp_path

    return write


def test_help_takes_a_third_of_a_second_of_a_processor():
    times = []
    for _ in range(5):
        before = os.times()
        assert process("--help").returncode == 0
        after = os.times()  # of this process's children, whatever else the machine does
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) <= 0.3


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"candidates": "  - baseline: majority"}, "job.yaml:6: candidates[1].name: "),
        ({"candidates": "  - {baseline: majorty, name: b}"}, "unknown baseline 'majorty'; did you mean majority?"),
        ({"candidates": "  - {model: x, method: frozn}"}, "unknown method 'frozn'; did you mean frozen?"),
        ({"candidates": "  - !!python/object:os.system {}"}, "job.yaml:6: "),
        ({"dataset": ", columns: {text: body}"}, "has no column 'body'"),
        ({"dataset": ", limits: {train: 5}"}, "limits: unknown key; did you mean limit?"),
        ({"store": "/proc/nowhere"}, "store /proc/nowhere: cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(job, command, changes, line):
    folder = job(**changes)
    said = command("run", "job.yaml")
    assert said.code == 2, said
    assert line in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not (folder / "store").exists()


def test_a_missing_job_file_is_one_line():
    said = process("run", "nowhere.yaml")
    assert (said.returncode, said.stderr) == (2, "nowhere.yaml: no such job file\n")


def test_only_faulty_candidates_are_one_line_each_and_exit_code_2(job, command):
    folder = job()
    text = (folder / "job.yaml").read_text().replace("baseline: majority", "{model: ./nowhere, method: frozen}")
    (folder / "job.yaml").write_text(text)
    said = command("run", "job.yaml")
    assert said.code == 2
    assert "nowhere" in said.err
    assert len(said.err.strip().splitlines()) == 1


def test_debug_shows_the_traceback():
    assert "Traceback" in process("run", "nowhere.yaml", "--debug").stderr


def test_plan_starts_nothing_and_writes_nothing(job, command):
    folder = job()
    said = command("plan", "job.yaml")
    assert said.code == 0, said
    assert "1 trials (1 new); 1 shards to score" in said.out
    assert not (folder / "store").exists()


def test_a_dry_run_is_the_plan_of_what_is_asked(job, command):
    folder = job(candidates="  - baseline: tfidf-logistic")
    asked = ("--only", "majority", "--set", "datasets.rows.limit.test=5", "--set", "store=./elsewhere")
    said = command("run", "job.yaml", "--dry-run", *asked)
    assert said.code == 0, said
    assert "1 trials (1 new); 1 shards to score" in said.out
    assert "tfidf" not in said.out
    assert not (folder / "store").exists()
    assert not (folder / "elsewhere").exists()


def test_status_of_no_store_is_one_line(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = command("status", "nowhere")
    assert said.code == 2
    assert said.err.startswith("store nowhere: holds no runs")


def test_check_prints_a_json_schema(command):
    said = command("check", "--schema")
    assert said.code == 0
    assert '"$schema"' in said.out


def test_describe_says_what_a_name_takes(command):
    said = command("describe", "full")
    assert said.code == 0
    assert "epochs = 3" in said.out
    said = command("describe", "ful")
    assert said.code == 2
    assert said.err.strip() == "nothing is called 'ful'; did you mean full?"


def test_importing_raybench_imports_no_engine():
    code = "import raybench, sys; assert not {'torch', 'ray', 'pyarrow'} & set(sys.modules); raybench.run"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
