"""Running a job on a Ray cluster through its job API: the same job on the same day is one submission.

    submit("jobs/nightly.yaml", "http://127.0.0.1:8265")        # exit code of the run

The submission's id holds the date (UTC) and the hash of the job and its files, so a second submit finds the first:
it attaches to one that runs, shows one that succeeded, and starts a new attempt after one that failed, which does
only what is missing, because the store remembers. This raybench travels along, so the cluster runs the same code.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import raybench
from raybench.cluster.package import Package, packed
from raybench.core.errors import RaybenchError
from raybench.core.suggestion import did_you_mean
from raybench.runtime.allocator import KEEPS_FREED_MEMORY

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

__all__ = ["Attempt", "next_attempt", "submission_id", "submit"]

_ENDED = {"SUCCEEDED", "FAILED", "STOPPED"}
_POLL_SECONDS = 1.0
_ANSWER_SECONDS = 20.0  # for the dashboard's first word
_AGENT_SECONDS = 300.0  # a cluster's dashboard answers before its agents take jobs
_BROKEN_SECONDS = 60.0  # how long a dashboard may be out of reach while a job is followed


class Attempt(NamedTuple):
    """Which submission to follow, and whether it must be started first."""

    id: str
    is_new: bool


def submission_id(package: Package, now: datetime) -> str:
    """The job's name, the date in UTC and the hash of all that is sent."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", package.job_name).strip("-").lower()[:40]
    return f"raybench-{name}-{now.astimezone(UTC):%Y%m%d}-{package.fingerprint[:12]}"


def next_attempt(base: str, statuses: Mapping[str, str]) -> Attempt:
    """The submission of this id that runs or succeeded, else the first id not yet used: base, base-2, base-3."""
    number = 1
    while True:
        name = base if number == 1 else f"{base}-{number}"
        if name not in statuses:
            return Attempt(name, is_new=True)
        if statuses[name] not in ("FAILED", "STOPPED"):
            return Attempt(name, is_new=False)
        number += 1


def submit(job_path: str | Path, address: str, follow: bool = True) -> int:
    """Submit a job, or find it submitted, and stream its log; returns the run's exit code, 0 when not followed.

    Raises:
        RaybenchError: a bad job file, an address that cannot be reached, a token that is missing or wrong.
    """
    with packed(job_path) as package, _explaining_address(address):
        client = _client(address)
        statuses = {str(job.submission_id): job.status.value for job in client.list_jobs()}
        attempt = next_attempt(submission_id(package, datetime.now(UTC)), statuses)
        if attempt.is_new:
            attempt = _start(client, attempt, package)
        else:
            print(f"{attempt.id} is {statuses[attempt.id].lower()} since an earlier submit", flush=True)
        if not follow:
            return 0
        try:
            return _follow(client, attempt.id)
        except KeyboardInterrupt:
            print(f"\n{attempt.id} goes on; submit again to follow it, `ray job stop {attempt.id}` ends it", flush=True)
            return 130


def _client(address: str) -> JobSubmissionClient:
    """A client of this address and no other: Ray would let RAY_ADDRESS override it."""
    scheme = address.partition("://")[0] if "://" in address else None
    if scheme not in (None, "http", "https"):
        hint = did_you_mean(scheme or "", ["http", "https"])
        raise RaybenchError(f"--address {address}: want the dashboard's, such as http://127.0.0.1:8265{hint}")
    import requests
    from ray.job_submission import JobSubmissionClient

    # Ray's client has no time limit of its own; whatever is answered here, it understands better.
    requests.get(f"{address if scheme else f'http://{address}'}/api/version", timeout=_ANSWER_SECONDS)
    for name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging"):
        logging.getLogger(f"ray.{name}").setLevel(logging.WARNING)  # uploads and sockets, by internal addresses
    masked = {name: os.environ.pop(name) for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS") if name in os.environ}
    try:
        return JobSubmissionClient(address if scheme else f"http://{address}")
    finally:
        os.environ.update(masked)


def _start(client: JobSubmissionClient, attempt: Attempt, package: Package) -> Attempt:
    """Submit once the cluster has an agent that takes jobs; a repeated try finds what an earlier one has started."""
    deadline, told = time.monotonic() + _AGENT_SECONDS, False
    while True:
        try:
            return _submit(client, attempt, package)
        except RuntimeError as error:  # Ray tells this one from others by its text alone
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
        if not told:
            print("waiting for an agent of the cluster that takes jobs", file=sys.stderr, flush=True)
            told = True
        time.sleep(_POLL_SECONDS)


def _submit(client: JobSubmissionClient, attempt: Attempt, package: Package) -> Attempt:
    try:
        client.submit_job(
            entrypoint=f"python -m raybench run {package.job_file!r}",
            submission_id=attempt.id,
            runtime_env={
                "working_dir": str(package.directory),
                "py_modules": [str(Path(raybench.__file__).parent)],
                "excludes": [".git", "__pycache__"],
                "env_vars": KEEPS_FREED_MEMORY,
            },
            metadata={"job": package.job_name, "fingerprint": package.fingerprint},
        )
    except RuntimeError as error:
        if "already exists" not in str(error):  # submitted by someone else a moment ago
            raise
        return Attempt(attempt.id, is_new=False)
    print(f"{attempt.id} submitted", flush=True)
    return attempt


def _follow(client: JobSubmissionClient, name: str) -> int:
    """Stream a submission's log to its end, through interruptions of the connection."""
    import aiohttp
    import requests

    broken = (RuntimeError, ConnectionError, requests.exceptions.RequestException, aiohttp.ClientError)
    log, heard, ended_at = _Log(), time.monotonic(), None
    while True:
        try:
            ended = str(client.get_job_status(name)) in _ENDED  # asked before the log is read: nothing is missed
        except broken:
            if time.monotonic() - heard > _BROKEN_SECONDS:
                raise
            time.sleep(_POLL_SECONDS)
            continue
        heard = time.monotonic()
        ended_at = (ended_at or heard) if ended else None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Ray's way of calling aiohttp
                asyncio.run(log.print_on(client, name))
        except broken:  # read again from where it was shown; a log on a node that is gone is never had
            ended = ended_at is not None and heard - ended_at > _BROKEN_SECONDS
        if ended:
            break
        time.sleep(_POLL_SECONDS)
    details = client.get_job_info(name)
    status = str(details.status)
    if status == "SUCCEEDED":
        return 0
    reason = str(details.message).partition(", last available logs")[0]  # the log has been shown
    print(f"{name} {status.lower()}: {' '.join(reason.split())[:300]}", file=sys.stderr)
    return 130 if status == "STOPPED" else details.driver_exit_code or 1


class _Log:
    """A log that is read from its beginning each time, and shown once."""

    def __init__(self) -> None:
        self.shown = 0

    async def print_on(self, client: JobSubmissionClient, name: str) -> None:
        read = 0
        async for chunk in client.tail_job_logs(name):
            read += len(chunk)
            if read > self.shown:
                print(chunk[max(0, len(chunk) - (read - self.shown)) :], end="", flush=True)
                self.shown = read


@contextmanager
def _explaining_address(address: str) -> Iterator[None]:
    """What a user can mend about an address, as one line."""
    import requests
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError as error:
        wrong = "refused this token" if "failed" in str(error)[:40].lower() else "wants a token"
        raise RaybenchError(
            f"--address {address}: the cluster {wrong}; set RAY_AUTH_MODE=token and put the cluster's token into "
            "~/.ray/auth_token or RAY_AUTH_TOKEN"
        ) from error
    except (ConnectionError, requests.exceptions.RequestException) as error:
        raise RaybenchError(
            f"--address {address}: no Ray dashboard answers there; `ray dashboard cluster.yaml` brings a cluster's to "
            "http://127.0.0.1:8265"
        ) from error
    except RuntimeError as error:
        raise RaybenchError(f"--address {address}: {' '.join(str(error).split())[:300]}") from error
