"""One submission a job and day: what is sent, which attempt is followed, what is said when it cannot be."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests

from raybench.cluster import submit as module
from raybench.cluster.package import packed
from raybench.cluster.submit import Attempt, next_attempt, submission_id, submit
from raybench.core.errors import JobError, RaybenchError
from raybench.runtime.allocator import KEEPS_FREED_MEMORY

JOB = """\
name: A Job!
store: s3://bucket/store
candidates:
  - {baseline: majority}
datasets:
  - {name: d, source: csv, data_files: {train: data/a.csv, test: [data/b-*.csv]}, task: text-classification}
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    (folder / "data").mkdir(parents=True)
    for name in ("a", "b-1", "b-2", "unused"):
        (folder / f"data/{name}.csv").write_text("text,label\na,x\n")
    (folder / "mine.py").write_text("")
    (folder / "x.yaml").write_text(JOB)
    (folder / "secret.txt").write_text("stays here")
    return folder / "x.yaml"


def carried(job: Path) -> list[str]:
    with packed(job) as package:
        return sorted(
            str(path.relative_to(package.directory)) for path in package.directory.rglob("*") if path.is_file()
        )


def test_the_job_its_files_and_its_modules_travel_and_nothing_else(job: Path) -> None:
    assert carried(job) == ["data/a.csv", "data/b-1.csv", "data/b-2.csv", "mine.py", "x.yaml"]


def test_model_directories_and_globs_of_checkpoints_travel(job: Path) -> None:
    for name in ("runs/checkpoint-1", "runs/checkpoint-2", "model", "model/.git"):
        (job.parent / name).mkdir(parents=True)
        (job.parent / name / "config.json").write_text("{}")
    job.write_text(JOB.replace("datasets:", "  - {model: 'runs/*'}\n  - {model: model, tokenizer: ./model}\ndatasets:"))
    assert [name for name in carried(job) if "config" in name] == [
        "model/config.json",
        "runs/checkpoint-1/config.json",
        "runs/checkpoint-2/config.json",
    ]


def test_modules_beside_the_job_travel(job: Path) -> None:
    (job.parent / "loaders").mkdir()
    (job.parent / "loaders/news.py").write_text("def load(): ...")
    source = "source: csv, data_files: {train: data/a.csv, test: [data/b-*.csv]}"
    job.write_text(JOB.replace(source, "source: 'loaders.news:load'"))
    assert carried(job) == ["loaders/news.py", "mine.py", "x.yaml"]


def test_a_package_is_gone_when_it_has_been_sent(job: Path) -> None:
    with packed(job) as package:
        pass
    assert not package.directory.exists()


def test_a_file_outside_the_jobs_directory_is_refused(job: Path) -> None:
    (job.parent.parent / "up.csv").write_text("text,label\n")
    job.write_text(JOB.replace("data/a.csv", "../up.csv"))
    with pytest.raises(JobError, match=r"x\.yaml:6: datasets\[0\]\.data_files: \.\./up\.csv lies outside"):
        carried(job)


def test_a_store_that_the_cluster_would_lose_is_refused(job: Path) -> None:
    job.write_text(JOB.replace("s3://bucket/store", "./store"))
    with pytest.raises(JobError, match=r"x\.yaml:2: store: \./store would be lost .* want a URL"):
        carried(job)


def test_more_than_a_submission_carries_is_refused(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raybench.cluster.package.MAX_BYTES", 400)
    (job.parent / "data/a.csv").write_bytes(b"x" * 500)
    with pytest.raises(JobError, match=r"more than the .* that a submission carries \(the largest is data/a\.csv\)"):
        carried(job)


def identity_now(job: Path) -> str:
    with packed(job) as package:
        return submission_id(package, datetime.now(UTC))


def identity(job: Path, day: int = 1) -> str:
    with packed(job) as package:
        return submission_id(package, datetime(2030, 5, day, 23, 59, tzinfo=UTC))


def test_a_submission_is_named_by_job_day_and_content(job: Path) -> None:
    first = identity(job)
    assert first.startswith("raybench-a-job-20300501-")
    assert identity(job) == first
    assert identity(job, day=2) != first
    (job.parent / "data/unused.csv").write_text("changed")
    assert identity(job) == first
    (job.parent / "data/a.csv").write_text("changed")
    assert identity(job) != first


@pytest.mark.parametrize(
    ("statuses", "attempt"),
    [
        ({}, Attempt("x", True)),
        ({"y": "RUNNING"}, Attempt("x", True)),
        ({"x": "PENDING"}, Attempt("x", False)),
        ({"x": "RUNNING"}, Attempt("x", False)),
        ({"x": "SUCCEEDED"}, Attempt("x", False)),
        ({"x": "FAILED"}, Attempt("x-2", True)),
        ({"x": "STOPPED", "x-2": "RUNNING"}, Attempt("x-2", False)),
        ({"x": "FAILED", "x-2": "FAILED"}, Attempt("x-3", True)),
    ],
)
def test_what_runs_or_succeeded_is_found_and_what_failed_is_tried_again(
    statuses: dict[str, str], attempt: Attempt
) -> None:
    assert next_attempt("x", statuses) == attempt


@dataclass
class FakeClient:
    """A job server in memory; a log comes in pieces, and its connection may break once."""

    ends_as: str = "SUCCEEDED"
    exit_code: int | None = 0
    log: tuple[str, ...] = ("one\n", "two\n", "three\n")
    breaks_after: int | None = None
    refusals: list[Exception] = field(default_factory=list)  # of submissions, one after the other
    silences: list[Exception] = field(default_factory=list)  # of questions for the status
    log_is_lost: bool = False
    jobs: dict[str, str] = field(default_factory=dict)
    submitted: list[dict[str, Any]] = field(default_factory=list)

    def list_jobs(self) -> list[Any]:
        return [SimpleNamespace(submission_id=name, status=SimpleNamespace(value=it)) for name, it in self.jobs.items()]

    def submit_job(self, **request: Any) -> str:
        if self.refusals:
            raise self.refusals.pop(0)
        self.submitted.append(request)
        self.jobs[request["submission_id"]] = "RUNNING"
        return str(request["submission_id"])

    def get_job_status(self, name: str) -> str:
        if self.silences:
            raise self.silences.pop(0)
        return self.jobs[name]

    def get_job_info(self, name: str) -> Any:
        return SimpleNamespace(status=self.jobs[name], message="a\nreason", driver_exit_code=self.exit_code)

    async def tail_job_logs(self, name: str) -> AsyncIterator[str]:
        if self.log_is_lost:
            self.jobs[name] = self.ends_as
            raise RuntimeError("its node is gone")
        for number, chunk in enumerate(self.log):
            if number == self.breaks_after:
                self.breaks_after = None
                raise RuntimeError("WebSocket connection closed unexpectedly")
            yield chunk
        self.jobs[name] = self.ends_as


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeClient]:
    def serve(**state: Any) -> FakeClient:
        client = FakeClient(**state)
        monkeypatch.setattr(module, "_client", lambda address: client)
        monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)
        return client

    return serve


def test_a_second_submit_starts_nothing_and_shows_the_same_log(
    job: Path, server: Callable[..., FakeClient], capsys: pytest.CaptureFixture[str]
) -> None:
    client = server()
    assert submit(job, "http://head:8265") == 0
    assert "one\ntwo\nthree\n" in capsys.readouterr().out
    assert submit(job, "http://head:8265") == 0
    assert "is succeeded since an earlier submit\none\ntwo\nthree\n" in capsys.readouterr().out
    assert len(client.submitted) == 1


def test_a_log_whose_connection_breaks_is_shown_once(
    job: Path, server: Callable[..., FakeClient], capsys: pytest.CaptureFixture[str]
) -> None:
    server(breaks_after=2)
    assert submit(job, "http://head:8265") == 0
    assert capsys.readouterr().out.endswith("submitted\none\ntwo\nthree\n")


NO_AGENT = "Request failed with status code 500: No available agent to submit job, please try again later.."


def test_a_cluster_that_has_just_come_up_is_waited_for(job: Path, server: Callable[..., FakeClient]) -> None:
    client = server(refusals=[RuntimeError(NO_AGENT), RuntimeError(NO_AGENT)])
    assert submit(job, "http://head:8265") == 0
    assert len(client.submitted) == 1


def test_a_try_that_went_through_unheard_is_followed(job: Path, server: Callable[..., FakeClient]) -> None:
    client = server(refusals=[RuntimeError(NO_AGENT), RuntimeError("Job raybench-x already exists")])
    client.jobs |= dict.fromkeys([identity_now(job)], "RUNNING")
    client.list_jobs = list  # type: ignore[method-assign]
    assert submit(job, "http://head:8265") == 0
    assert not client.submitted


@pytest.mark.parametrize(
    ("words", "agent_seconds"), [(NO_AGENT, 0.0), ("Request failed with status code 400: no such image", 300.0)]
)
def test_waiting_has_an_end_and_other_refusals_are_not_waited_for(
    job: Path, server: Callable[..., FakeClient], monkeypatch: pytest.MonkeyPatch, words: str, agent_seconds: float
) -> None:
    monkeypatch.setattr(module, "_AGENT_SECONDS", agent_seconds)
    client = server(refusals=[RuntimeError(words)] * 50)
    with pytest.raises(RaybenchError, match=r"^--address http://head:8265: Request failed with status code") as caught:
        submit(job, "http://head:8265")
    assert "\n" not in str(caught.value)
    assert len(client.refusals) >= 48


def test_a_dashboard_out_of_reach_for_a_moment_ends_nothing(
    job: Path, server: Callable[..., FakeClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [RuntimeError("503"), requests.exceptions.ConnectionError("reset"), ConnectionError("refused")]
    server(silences=errors)
    assert submit(job, "http://head:8265") == 0
    monkeypatch.setattr(module, "_BROKEN_SECONDS", -1.0)
    server(silences=[ConnectionError("gone for good")])
    with pytest.raises(RaybenchError, match=r"^--address http://head:8265: no Ray dashboard answers there"):
        submit(job, "http://head:8265")


def test_a_log_that_went_with_its_node_is_not_waited_for(
    job: Path, server: Callable[..., FakeClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BROKEN_SECONDS", 0.0)
    server(log_is_lost=True, ends_as="FAILED", exit_code=None)
    assert submit(job, "http://head:8265") == 1


@pytest.mark.parametrize(
    ("ends_as", "exit_code", "code"), [("FAILED", 1, 1), ("FAILED", None, 1), ("FAILED", 2, 2), ("STOPPED", None, 130)]
)
def test_the_runs_exit_code_is_the_submits(
    job: Path, server: Callable[..., FakeClient], ends_as: str, exit_code: int | None, code: int
) -> None:
    client = server(ends_as=ends_as, exit_code=exit_code)
    assert submit(job, "http://head:8265") == code
    submit(job, "http://head:8265")
    assert [request["submission_id"][-2:] for request in client.submitted][1:] == ["-2"]


def test_what_is_not_followed_returns_at_once(job: Path, server: Callable[..., FakeClient]) -> None:
    client = server(log=())
    assert submit(job, "http://head:8265", follow=False) == 0
    assert list(client.jobs.values()) == ["RUNNING"]


def test_this_raybench_travels_with_the_job(job: Path, server: Callable[..., FakeClient]) -> None:
    client = server()
    submit(job, "http://head:8265")
    (request,) = client.submitted
    assert request["entrypoint"] == "python -m raybench run 'x.yaml'"
    (travels,) = request["runtime_env"]["py_modules"]
    assert Path(travels, "cli.py").exists()
    assert request["runtime_env"]["env_vars"] == KEEPS_FREED_MEMORY


@pytest.fixture
def refusing() -> Iterator[Callable[[int], str]]:
    """A web server that answers everything with one status."""
    servers = []

    def start(status: int) -> str:
        class Refusal(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        server = HTTPServer(("127.0.0.1", 0), Refusal)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "the cluster wants a token; set RAY_AUTH_MODE=token"),
        (403, "the cluster refused this token; set RAY_AUTH_MODE=token"),
        (404, "Version check returned 404"),
        (500, "no Ray dashboard answers there"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do(
    job: Path, refusing: Callable[[int], str], status: int, said: str
) -> None:
    address = refusing(status)
    with pytest.raises(RaybenchError) as caught:
        submit(job, address)
    assert str(caught.value).startswith(f"--address {address}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "127.0.0.1:9", "http://not a host"])
def test_an_address_where_nothing_answers_is_one_line(job: Path, address: str) -> None:
    with pytest.raises(
        RaybenchError, match=r"^--address .*: no Ray dashboard answers there; `ray dashboard cluster\.yaml`"
    ):
        submit(job, address)


def test_an_address_that_takes_calls_and_never_answers_is_one_line(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(RaybenchError, match=rf"^--address {address}: no Ray dashboard answers there"):
            submit(job, address)


def test_another_kind_of_address_is_told_which_is_wanted(job: Path) -> None:
    with pytest.raises(RaybenchError, match=r"^--address ray://head:10001: want the dashboard's, such as http://"):
        submit(job, "ray://head:10001")


def test_the_address_given_is_the_one_asked(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:10")
    with pytest.raises(RaybenchError, match=r"--address http://127\.0\.0\.1:9: no Ray"):
        submit(job, "http://127.0.0.1:9")


def test_a_job_runs_on_a_real_cluster_and_a_second_submit_finds_it(
    dashboard_address: str, make_job: Callable[[], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make_job()
    path = folder.write(candidates=[{"baseline": "majority"}, {"baseline": "tfidf-logistic"}], seeds=[0])
    assert submit(path, dashboard_address) == 0
    first = capfd.readouterr().out
    assert "tfidf-logistic" in first
    (ranking,) = folder.folder.glob("store/runs/*/ranking.parquet")
    assert set(pq.read_table(ranking)["status"].to_pylist()) == {"ok"}
    assert submit(path, dashboard_address) == 0
    second = capfd.readouterr().out
    assert "is succeeded since an earlier submit" in second
    assert first.partition("submitted\n")[2] == second.partition("submit\n")[2]
