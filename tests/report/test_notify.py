"""Whoever is to be told how a run ended is told, and no run fails of it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pyarrow as pa
import pytest

from raybench.core.errors import JobError
from raybench.job import load_job
from raybench.report.notify import ended, notifier, stopped
from raybench.results.ranking import Ranking

JOB = """
name: nightly
candidates: [{baseline: majority}]
datasets: [{name: d, source: rows.csv, task: text-classification}]
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job beside a module that can be told."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "hooks_of_test.py").write_text(
        "import json, os\nfrom pathlib import Path\n"
        "def tell(run): Path(__file__).with_name('told.json').write_text(json.dumps(run))\n"
        "def fail(run): raise RuntimeError('no network')\n"
    )
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")

    def write(notify):
        (tmp_path / "job.yaml").write_text(f"{JOB}notify: {json.dumps(notify)}\n")
        return load_job(tmp_path / "job.yaml")

    return write


@pytest.fixture
def ranking():
    rows = [
        {
            "dataset": "d",
            "candidate": "a",
            "status": "ok",
            "reason": None,
            "rank": 1,
            "rank_by": "accuracy",
            "accuracy": 0.9,
        },
        {
            "dataset": "d",
            "candidate": "b",
            "status": "oom",
            "reason": "no room",
            "rank": None,
            "rank_by": "accuracy",
            "accuracy": None,
        },
    ]
    return Ranking(
        run_id="nightly-1", table=pa.Table.from_pylist(rows), scores=pa.table({}), location="s/ranking.parquet"
    )


@pytest.fixture
def server():
    """An address that keeps what is posted to it; the first post is answered with 503."""
    posted, answers = [], [503]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers.pop() if answers else 200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", posted
        server.shutdown()
        thread.join()


def test_an_address_gets_what_came_of_the_run_also_after_a_blip(job, ranking, server, monkeypatch):
    url, posted = server
    monkeypatch.setenv("HOOK_OF_TEST", url)
    loaded = job("$HOOK_OF_TEST")
    assert url not in loaded.text
    notifier(loaded)(ended(ranking, loaded, 61.2))
    assert len(posted) == 2
    assert posted[1]["best"] == {"d": {"candidate": "a", "accuracy": 0.9}}
    assert posted[1]["text"] == "nightly: ended after 61 s; best: a on d, 1 oom"


def test_a_function_beside_the_job_is_called(job, ranking, tmp_path):
    loaded = job("hooks_of_test:tell")
    notifier(loaded)(stopped(MemoryError("no room"), "nightly-1", loaded, 3.0))
    told = json.loads((tmp_path / "told.json").read_text())
    assert (told["state"], told["text"]) == ("failed", "nightly: failed after 3 s: MemoryError: no room")


@pytest.mark.parametrize("target", ["hooks_of_test:fail", "http://127.0.0.1:9/secret-token"])
def test_who_cannot_be_told_is_a_warning_without_the_address(job, ranking, target):
    loaded = job(target)
    with pytest.warns(UserWarning, match="was not told") as caught:
        notifier(loaded)(ended(ranking, loaded, 1.0))
    assert "secret-token" not in str(caught[0].message)


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("ftp://host/x", "job.yaml:5: notify: want https://… or module:attribute, got an address of scheme 'ftp'"),
        ("os:system", "want https://… or module:function of a module beside the job file"),
        ("hooks_of_test:tel", "job.yaml:5: notify: notify 'hooks_of_test:tel': cannot be loaded"),
        ("hooks_of_test:Path", "no function that hooks_of_test defines"),
        ("$NOWHERE_TO_BE_FOUND", "environment variable NOWHERE_TO_BE_FOUND is not set"),
    ],
)
def test_who_cannot_be_found_is_one_line_before_anything_starts(job, target, line):
    with pytest.raises(JobError) as told:
        notifier(job(target))
    assert line in str(told.value)


def test_a_job_that_names_nobody_tells_nobody(tmp_path):
    (tmp_path / "job.yaml").write_text(JOB)
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    assert notifier(load_job(tmp_path / "job.yaml")) is None
