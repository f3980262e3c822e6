"""Ray's private knowledge of nodes and its agents, held against Ray itself: a change of Ray's is told here."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from ray import exceptions

from raybench.cluster import idle_agent
from raybench.cluster.connect import starts_without_agents
from raybench.cluster.death import blame, death
from raybench.cluster.internals import draining_nodes, node_of, read_growth, read_nodes
from raybench.core.errors import StoreError
from raybench.schedule.retry import FailureKind
from tests.cluster.conftest import wait_until


@pytest.fixture
def connected(ray_address):
    import ray

    ray.init(address=ray_address, log_to_driver=False)
    yield ray
    ray.shutdown()


def test_nodes_are_read_from_ray_and_none_is_to_go(connected):
    (node,) = read_nodes()
    assert (node.cpus, node.gpus) == (8.0, 0.0)
    assert read_growth() == []
    assert draining_nodes() == frozenset()


UNSEEN = "store /x: node n does not see what the driver wrote there"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'nothere'"), "ModuleNotFoundError: No module named 'nothere'"),
        (StoreError(UNSEEN), UNSEEN),
    ],
)
def test_an_actor_that_cannot_start_says_why_and_where(connected, error, words):
    @connected.remote(max_restarts=0)
    class Broken:
        def __init__(self):
            raise error

        def ready(self):
            return True

    handle = Broken.remote()
    with pytest.raises(exceptions.RayActorError) as caught:
        connected.get(handle.ready.remote())
    failure = death(caught.value, starting=True)
    assert failure.kind is FailureKind.DIED
    assert failure.message == words
    assert node_of(handle) == connected.get_runtime_context().get_node_id()


def test_an_actor_that_is_killed_while_it_starts_says_how(connected):
    @connected.remote(max_restarts=0)
    class Exits:
        def __init__(self):
            os._exit(7)

        def ready(self):
            return True

    handle = Exits.remote()
    with pytest.raises(exceptions.RayActorError) as caught:
        connected.get(handle.ready.remote())
    message = death(caught.value, starting=True).message
    assert message.startswith("Worker"), message
    assert len(message.splitlines()) == 1


def test_who_took_most_memory_is_to_blame():
    assert blame(0, {0: 500, 1: 100})
    assert not blame(0, {0: 100, 1: 500})
    assert blame(0, {}), "nothing is known: the one that died"


def test_rays_printer_is_still_where_it_is_silenced():
    """Told of an actor's death by this name, looked up in the module at each call."""
    import inspect

    from ray._private import worker

    assert list(inspect.signature(worker.print_to_stdstream).parameters) == ["data", "ignore_prefix"]
    assert "print_to_stdstream(" in inspect.getsource(worker.listen_error_messages)


OWN_RAY = """
import os, sys
from raybench.cluster.connect import connect
from raybench.job import Resources
def wanted(runtime_env):
    return {"env_vars": {"WANTED": "yes"}}
if __name__ == "__main__":
    with connect(Resources(actors=1), "local"):
        import ray
        print(ray.get(ray.remote(lambda: os.environ.get("WANTED")).remote()), flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def own_ray(tmp_path):
    """Starts a process with a Ray of its own, which says what its first task returned."""
    (tmp_path / "own_ray.py").write_text(OWN_RAY)
    processes = []

    def start(**environment):
        path = os.pathsep.join((str(tmp_path), *sys.path))
        process = subprocess.Popen(
            [sys.executable, str(tmp_path / "own_ray.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
        processes.append(process)
        said = process.stdout.readline().strip()
        processes.extend(psutil.Process(process.pid).children(recursive=True))
        return said, process, processes[1:]

    yield start
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    processes[0].communicate()


def test_a_ray_of_ones_own_has_no_agents_and_nothing_of_it_outlives_a_killed_driver(own_ray):
    said, process, begun = own_ray()
    assert said == "None"
    commands = [one.cmdline() for one in begun]
    assert sum(command[-1] == idle_agent.__file__ for command in commands) == 2, commands  # a raylet wants two
    names = {Path(command[0]).name for command in commands if command[-1] != idle_agent.__file__}
    assert {name for name in names if not name.startswith("ray::")} == {"gcs_server", "raylet"}, commands
    process.kill()
    process.wait(10)
    wait_until(lambda: not psutil.wait_procs(begun, timeout=0)[1], seconds=20)


def test_it_has_them_where_something_wants_a_runtime_environment(own_ray):
    said, _, begun = own_ray(RAY_RUNTIME_ENV_HOOK="own_ray.wanted")
    assert said == "yes"
    assert not any(one.cmdline()[-1] == idle_agent.__file__ for one in begun)


def test_a_ray_that_cannot_start_without_agents_is_left_to_start_with_them(monkeypatch):
    monkeypatch.delattr("ray._private.services.start_ray_process")
    assert not starts_without_agents(1)
