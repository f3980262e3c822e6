"""One Ray cluster for all tests of this folder, tiny real networks, and jobs over them."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cluster.toy_job import JobFolder, save_tiny_bert
from tests.conftest import FIRST


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


# Read by Ray when it is imported: a cluster of the tests' own, with the token authentication of a real one.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(16)
# Actors would be 15 nicer than the tests beside them, and those that wait for them last.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
# Of a server for buckets that a test may start: the cluster's actors have a driver's variables only from its start.
os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{free_ports(1)[0]}"
os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="package")
def cluster_ports():
    """A cluster of its own, so that a test does not wait for an embedded one to start; its ports and its process.

    Ended as soon as this folder's tests are done: its daemons work at rest too. As a process group, not by
    `ray stop`, which ends every Ray on the machine.
    """
    port, dashboard_port, agent_port = free_ports(3)  # the agent's usual one may be another cluster's of this machine
    # Of two processes or more, one does the two longest files alone, which ask for no dashboard: a dozen processes.
    shared = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1
    dashboard = not (shared and os.environ["PYTEST_CURRENT_TEST"].startswith(FIRST[:2]))
    folder = Path("/tmp") / f"rb{os.getpid()}"  # short: Ray's socket paths have 107 characters at most
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=8", f"--port={port}",
         "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard_port}",
         f"--dashboard-agent-listen-port={agent_port}", "--disable-usage-stats", f"--temp-dir={folder}",
         "--no-monitor", f"--include-dashboard={dashboard}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},  # what jobs call python
    )  # fmt: skip
    try:
        wait_until(lambda: answers(port) and (answers(dashboard_port) or not dashboard), seconds=120)
        yield port, dashboard_port, head.pid
    finally:
        head.terminate()
        try:
            head.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def ray_address(cluster_ports):
    return f"127.0.0.1:{cluster_ports[0]}"


@pytest.fixture(scope="package")
def dashboard_address(cluster_ports):
    return f"http://127.0.0.1:{cluster_ports[1]}"


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(ready, *, seconds):
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "the cluster did not start"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """A directory with a random two-layer BERT and a tokenizer of whole words."""
    return save_tiny_bert(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def make_job(tmp_path_factory, tiny_bert):
    """Makes a folder with the same job and the same data each time."""
    return lambda: JobFolder(tmp_path_factory.mktemp("job"), tiny_bert)


@pytest.fixture(scope="package")
def small(make_job, ray_address):
    """A job of baselines alone, one of them slow: what it takes beside a store, its folder, and its undisturbed run."""
    import raybench

    job = make_job()
    slow = {"baseline": "plugins:Slow", "name": "slow"}
    resources = {"actors": 1, "shard_batches": 1}
    keys = {"candidates": [slow, *job.job["candidates"][:2]], "seeds": [0], "resources": resources}
    ranking = raybench.run(job.write(**keys), address=ray_address, quiet=True)
    return SimpleNamespace(keys=keys, job=job, ranking=ranking)
