"""All that is asked of Ray beside its public interface: nodes that are up, may be added, are about to go; its printer.

Each private call stands here alone, with its reason, and has a test that tells when Ray has changed it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from raybench.cluster import idle_agent
from raybench.cluster.placement import Node

__all__ = [
    "draining_nodes",
    "node_of",
    "read_growth",
    "read_nodes",
    "silence_raylet",
    "without_agents",
    "without_helpers",
]


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

    with _replaced(
        (Node, "start_monitor", lambda self: None),
        (Node, "start_log_monitor", lambda self: None),
        (Node, "start_api_server", no_dashboard),
    ):
        yield


@contextmanager
def without_agents() -> Iterator[None]:
    """A Ray of this machine's own starts without the agents of its node: that of the dashboard, and that which makes
    runtime environments, so what wants one must not run there.

    Private: a raylet does not start without the two, waits for their ports until they have imported Ray and its
    dashboard, and ends with them. It is given processes that sleep, and the ports by which a Ray without a dashboard
    installed says that nothing listens there.
    """
    from ray._private import services, utils
    from ray._private.node import Node

    start_raylet, start_process = Node.start_raylet, services.start_ray_process

    def raylet(self: Any, *given: Any, **asked: Any) -> None:
        _nothing_listens(self._session_dir, self._node_id)
        start_raylet(self, *given, **asked)

    def process(command: list[str], *given: Any, **asked: Any) -> Any:
        return start_process([_idle(part) for part in command], *given, **asked)

    with _replaced(
        (Node, "start_raylet", raylet),
        (services, "start_ray_process", process),
        (utils, "get_dashboard_dependency_error", lambda: None),  # it imports what the agent would need
    ):
        yield


@contextmanager
def _replaced(*attributes: tuple[Any, str, Any]) -> Iterator[None]:
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in attributes]
    for owner, name, instead in attributes:
        setattr(owner, name, instead)
    try:
        yield
    finally:
        for owner, name, was in before:
            setattr(owner, name, was)


def _nothing_listens(session: str, node_id: str) -> None:
    """The ports that agents would write down when they are up."""
    from ray._raylet import (  # type: ignore[attr-defined]
        DASHBOARD_AGENT_LISTEN_PORT_NAME,
        METRICS_AGENT_PORT_NAME,
        METRICS_EXPORT_PORT_NAME,
        RUNTIME_ENV_AGENT_PORT_NAME,
        persist_port,
    )

    agents = METRICS_AGENT_PORT_NAME, METRICS_EXPORT_PORT_NAME, DASHBOARD_AGENT_LISTEN_PORT_NAME
    for name in (*agents, RUNTIME_ENV_AGENT_PORT_NAME):
        persist_port(session, node_id, name, -1)


def _idle(part: str) -> str:
    """A part of the raylet's command line, in which what starts an agent starts a process that sleeps."""
    name, given, _ = part.partition("_agent_command=")
    if not given or name not in ("--dashboard", "--runtime_env"):
        return part
    return f"{name}{given}{subprocess.list2cmdline([sys.executable, '-I', '-S', idle_agent.__file__])}"


def silence_raylet() -> None:
    """Keep Ray from printing a paragraph to standard output when an actor dies: the driver says it in one line.

    Private: `log_to_driver`, the public switch, does not cover it, so Ray's printer is replaced in this process.
    """
    from ray._private import worker

    worker.print_to_stdstream = lambda data, ignore_prefix: None
