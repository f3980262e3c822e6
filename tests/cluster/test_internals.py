"""Ray's private knowledge of nodes, held against Ray itself: a change of Ray's is told here."""

from __future__ import annotations

import pytest
from ray import exceptions

from raybench.cluster.death import blame, death
from raybench.cluster.internals import draining_nodes, node_of, read_growth, read_nodes
from raybench.core.errors import StoreError
from raybench.schedule.retry import FailureKind


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
    import os

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
