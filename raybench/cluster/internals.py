"""All that is asked of Ray beside its public interface: nodes that are up, may be added, are about to go; its printer.

Each private call stands here alone, with its reason, and has a test that tells when Ray has changed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from raybench.cluster.placement import Node

__all__ = ["draining_nodes", "node_of", "read_growth", "read_nodes", "silence_raylet", "without_helpers"]


def read_nodes() -> list[Node]:
    """The nodes that are up."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(cpus=found.get("CPU", 0.0), gpus=found.get("GPU", 0.0)) for found in alive]


def read_growth() -> list[Node]:
    """What the autoscaler may have up in the end, by node type; nothing where there is none.

    Private: the autoscaler's configuration is shown by no public function.
    """
    from ray._private.state import state

    config = state.get_cluster_config()
    groups = [] if config is None else config.node_group_configs
    return [
        Node(
            cpus=group.resources.get("CPU", 0),
            gpus=group.resources.get("GPU", 0),
            count=None if group.max_count < 0 else group.max_count,
        )
        for group in groups
    ]


def draining_nodes() -> frozenset[str]:
    """Ids of the nodes that have been told to go, as a spot instance is some time before it is taken.

    Private: the public state interface needs the dashboard, which a run of its own does not start.
    """
    from ray._private.state import state

    return frozenset(state.get_draining_nodes())


def node_of(handle: Any) -> str | None:
    """The id of the node that an actor is or was on, or None where it never was on one.

    Private: for the same reason; an actor that died while it started cannot be asked.
    """
    from ray._private.state import state

    address = state.actor_table(handle._actor_id.hex()).get("Address") or {}
    return address.get("NodeID") or None


@contextmanager
def without_helpers() -> Iterator[None]:
    """A Ray of this machine's own starts without autoscaler, log monitor and dashboard, which nobody here reads.

    Private: `include_dashboard` and `log_to_driver` start their processes all the same. Of 2.6 s to start and 1.3 s to
    end, on two cores, they take 0.7 and 1.0.
    """
    from ray._private.node import Node

    def no_dashboard(self: Any, **asked: Any) -> None:
        self._webui_url = ""

    instead = {
        "start_monitor": lambda self: None,
        "start_log_monitor": lambda self: None,
        "start_api_server": no_dashboard,
    }
    before = {name: getattr(Node, name) for name in instead}
    for name, start in instead.items():
        setattr(Node, name, start)
    try:
        yield
    finally:
        for name, start in before.items():
            setattr(Node, name, start)


def silence_raylet() -> None:
    """Keep Ray from printing a paragraph to standard output when an actor dies: the driver says it in one line.

    Private: `log_to_driver`, the public switch, does not cover it, so Ray's printer is replaced in this process.
    """
    from ray._private import worker

    worker.print_to_stdstream = lambda data, ignore_prefix: None
