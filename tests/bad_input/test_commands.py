"""What is wrong around a command (its arguments, the store, the terminal) is one line and an exit code."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import torch

from raybench.core import Status
from raybench.job import load_job
from raybench.planning.plan import make_plan
from raybench.results.ledger import blank_row
from raybench.results.publish import publish
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import fit_trial, open_predictor, score_shard
from raybench.store import Store
from raybench.store.records import write_records
from raybench.tasks.catalog import get_task

Write = Callable[..., None]
Refused = Callable[..., str]
CPU = torch.device("cpu")
STOPPED = "stopped; what is done is in the store: the same command goes on from there"


@pytest.fixture
def finished(folder: Path, job: Write) -> Path:
    """A store with a run that has ended, made in this process."""
    job()
    plan = make_plan(load_job("job.yaml"))
    store = Store.open("store")
    rows = {}
    for planned in plan.trials:
        trial, dataset = planned.trial, plan.datasets[planned.trial.dataset.name]
        data = prepare_data(get_task(trial.dataset.task), dataset.loaded.splits, trial.model, trial.dataset)
        assert data.train is not None
        predictor = open_predictor(trial, fit_trial(trial, data.train, CPU), CPU)
        last = data.plan.num_batches
        result = score_shard(predictor, data.test, data.plan.batches(0, last), dataset.metric_set())
        write_records(store.files, trial.trial_id, "basis", 0, last, result.records)
        ended = {"status": Status.OK, "num_examples": data.test.num_rows, "states": result.states.to_bytes()}
        blank = blank_row(trial)
        ended["provenance"] = {**blank.provenance, "basis": "basis"}
        rows[trial.trial_id] = dataclasses.replace(blank, **ended)
        store.trials.append(rows[trial.trial_id])
    store.flush()
    publish(plan, rows, store, pytest.fail)
    return folder / "store"


@pytest.mark.parametrize("arguments", [("status", "train.csv"), ("rescore", "train.csv", "--metrics", "mcc")])
def test_a_store_that_is_a_file_is_said(folder: Path, refused: Refused, arguments: tuple[str, ...]) -> None:
    assert refused(*arguments) == "store train.csv: is a file; name a directory or a bucket"


@pytest.mark.parametrize("store", ["train.csv", "/dev/null", "/dev/null/x", "/proc/x", "foo://x", "zip://x"])
def test_a_store_that_can_be_none_is_one_line(job: Write, refused: Refused, store: str) -> None:
    job()
    text = Path("job.yaml").read_text().replace("./store", store)
    job(text=text)
    assert refused("rank", "job.yaml").startswith(f"store {store}: ")


def test_torn_records_are_one_line_that_names_the_file(finished: Path, refused: Refused) -> None:
    for part in finished.glob("records/*/part-*"):
        part.write_bytes(b"PAR1 torn")
    line = refused("rescore", "store", "--metrics", "mcc")
    assert "has no whole records (records/trial=" in line
    assert "torn or not Parquet" in line
    assert line.endswith("run its job again")


def test_difficulty_is_a_slice_of_any_run(finished: Path, command: Callable[..., tuple[int, str, str]]) -> None:
    assert command("rescore", "store", "--metrics", "accuracy", "--slice", "difficulty")[0] == 0
    (scores,) = (finished / "runs").glob("rescore-*/scores.parquet")
    assert {"difficulty=easy", None} <= set(pq.read_table(scores).column("slice").to_pylist())


def test_other_metrics_of_records_that_lack_their_columns_are_one_line(finished: Path, refused: Refused) -> None:
    assert "needs the record column 'hypothesis'" in refused("rescore", "store", "--metrics", "bleu")
    assert "measures distances between numbers" in refused("rescore", "store", "--metrics", "accuracy,mae")


@pytest.mark.parametrize("content", ["[]", "{}", '{"began_at": "x"}', '{"began_at": 1, "updated_at": null}'])
def test_progress_that_says_nothing_hides_no_other_run(
    finished: Path, command: Callable[..., tuple[int, str, str]], content: str
) -> None:
    for name, text in (("torn", content), ("whole", PROGRESS)):
        (finished / "runs" / name).mkdir()
        (finished / "runs" / name / "progress.json").write_text(text)
    code, out, err = command("status", "store")
    assert (code, err) == (0, "")
    assert ("torn" in out) == content.startswith("{")
    assert "whole  done" in out


PROGRESS = (
    '{"began_at": 1, "updated_at": 2, "state": "done", "examples_per_second": 3, "seconds_left": 0, "statuses": {},'
    '"trials_done": 1, "trials": 1, "shards_scored": 1, "seconds": 1}'
)


@pytest.mark.parametrize("content", [b"PAR1", b""])
def test_a_torn_table_of_scores_is_named(finished: Path, refused: Refused, content: bytes) -> None:
    for scores in finished.glob("runs/*/scores.parquet"):
        scores.write_bytes(content)
    line = refused("rescore", "store", "--metrics", "mcc")
    assert "scores.parquet: torn or no table of raybench" in line


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("${NO_SUCH_PLACE}/x", "environment variable NO_SUCH_PLACE is not set"),
        ("${}/x", "environment variable ${} is not set"),
        ("~nobody-here/x", "~nobody-here: no such user's home"),
        ('"a\\0b"', "holds a zero character"),
    ],
)
def test_a_store_that_names_no_place_is_told_with_its_line(
    job: Write, refused: Refused, store: str, words: str
) -> None:
    job()
    job(text=Path("job.yaml").read_text().replace("./store", store))
    line = refused("plan", "job.yaml")
    assert line.startswith("job.yaml:2: store: ")
    assert words in line


def run(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    python_path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "raybench", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | python_path | environment, **pipes)


def test_a_terminal_that_lacks_characters_gets_plain_ones(finished: Path) -> None:
    process = run("rank", "job.yaml", PYTHONIOENCODING="ascii")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "95 % interval" in out
    assert "rank" in out
    assert " - " in out
    assert "–" not in out


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("check", "job.yaml"), ("check", "--schema"), ("--help",)])
def test_a_full_disk_under_the_output_is_one_line(
    folder: Path, job: Write, arguments: tuple[str, ...], buffered: str
) -> None:
    job()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": buffered}
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "raybench", *arguments]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, env=environment)
    words = "standard output cannot be written: No space left on device; what was computed is in the store\n"
    assert (ended.returncode, ended.stderr) == (2, words)


def wait_for_work(process: subprocess.Popen[str], seconds: float) -> None:
    """Until it has had so much of a processor, or has ended: on a busy machine it has not yet begun by the clock."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.poll() is None and sum(psutil.Process(process.pid).cpu_times()[:2]) < seconds:
            time.sleep(0.01)


@pytest.fixture(scope="module")
def start_seconds() -> float:
    """What Python's own start takes of a processor, before anything of ours could hear a stop."""
    before = os.times()
    subprocess.run([sys.executable, "-c", ""], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_a_stop_while_the_command_line_is_imported_is_one_line(folder: Path) -> None:
    (folder / "typer.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(30)\n")
    process = run("plan", "job.yaml")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, STOPPED + "\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_when_all_is_done_changes_nothing(number: int) -> None:
    begun = "import os\nfrom raybench.commands.stops import leave_on_stop\nleave_on_stop()\n"
    at_the_end = f"def __del__(self, kill=os.kill, pid=os.getpid()): kill(pid, {number:d})"
    code = f"{begun}class Late:\n    {at_the_end}\nlate = Late()\n"  # gone when Python takes its modules apart
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("number", "seconds"),
    [(signal.SIGTERM, 0.2), (signal.SIGINT, 0.5), (signal.SIGTERM, 0.9), (signal.SIGINT, 1.4)],
)
def test_a_stop_while_the_job_is_planned_is_one_line(
    folder: Path, job: Write, tiny_bert: Path, start_seconds: float, number: int, seconds: float
) -> None:
    job(f"  - {{model: '{tiny_bert}', name: m, method: frozen}}")
    process = run("plan", "job.yaml")
    wait_for_work(process, start_seconds + seconds)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) in [(130, STOPPED + "\n"), (0, "")]  # or it had ended by then


def test_a_stop_of_which_a_library_makes_an_error_of_its_own_is_a_stop(folder: Path, job: Write) -> None:
    (folder / "swallows.py").write_text(
        "import os, signal, time\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(30)\n"
        "except KeyboardInterrupt:\n    raise ValueError('no schema') from None\n"
    )
    job("  - {baseline: 'swallows:Thing', name: m}")
    process = run("plan", "job.yaml")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, STOPPED + "\n")
