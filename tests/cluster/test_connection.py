"""A Ray of one's own, started in a thread while the driver plans: it serves, it ends, and what goes wrong is told."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from raybench.cluster.connection import Connection
from raybench.core.errors import RaybenchError
from raybench.job import Resources

COMMAND = [sys.executable, "-m", "raybench"]


def test_what_goes_wrong_in_the_thread_is_raised_where_ray_is_wanted():
    with Connection(Resources(actors=1000 * (os.cpu_count() or 1)), "local") as connection:
        connection.begin()
        with pytest.raises(RaybenchError, match="this machine has"):
            connection.connected()
    assert "ray" not in {thread.name for thread in threading.enumerate()}


def test_what_nobody_wants_in_the_end_is_ended_without_a_word():
    with Connection(Resources(actors=1000 * (os.cpu_count() or 1)), "local") as connection:
        connection.begin()
        connection.begin()
    assert "ray" not in {thread.name for thread in threading.enumerate()}


def test_nothing_is_begun_where_a_cluster_is_named(monkeypatch):
    for address in ("127.0.0.1:1", "auto"):
        connection = Connection(Resources(), address)
        connection.begin()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    Connection(Resources(), None).begin()
    assert "ray" not in {thread.name for thread in threading.enumerate()}


def test_a_run_on_a_ray_of_its_own_says_where_its_time_went(make_job):
    job = make_job()
    path = job.write(candidates=job.job["candidates"][:1], resources={"actors": 1})
    command = [*COMMAND, "run", str(path), "--timing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=job.folder)
    assert done.returncode == 0, done.stderr
    begin = done.stderr.index("seconds from the command")
    lines = [line.split(maxsplit=1) for line in done.stderr[begin:].splitlines()[1:]]
    assert [float(seconds) for seconds, _ in lines] == sorted(float(seconds) for seconds, _ in lines)
    told = [words for _, words in lines]
    for words in (
        "the plan is made",
        "Ray answers",
        "the first fit begins",
        "scores, intervals and replicates are there",
    ):
        assert words in told
    assert told[-1] == "results are reduced, ranked and written"
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=job.folder)
    assert again.returncode == 0
    assert "Ray answers" not in again.stderr  # there was nothing to do
    assert again.stdout == done.stdout


def test_an_actors_class_imports_nothing_that_its_start_would_import_without_collector():
    code = "import raybench.cluster.worker, sys; print(*{'torch', 'pyarrow', 'pydantic', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
