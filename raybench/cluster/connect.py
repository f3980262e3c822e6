"""Connecting: an embedded Ray on this machine, or the cluster one is inside of or names.

    with connect(resources, address=None) as cluster:
        cluster.num_actors, cluster.gpus_per_actor, cluster.note

The embedded Ray never attaches to whatever a temporary directory happens to name: it is always its own.
"""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from raybench.cluster.internals import read_growth, read_nodes, silence_raylet, without_agents, without_helpers
from raybench.cluster.placement import ActorPlan, check_machine, plan_actors
from raybench.core.errors import RaybenchError
from raybench.job import Resources
from raybench.runtime.allocator import KEEPS_FREED_MEMORY

__all__ = ["connect", "import_ray", "is_own", "reachable", "starts_without_agents"]

_ENVIRONMENT = KEEPS_FREED_MEMORY | {  # of this process, and of an embedded Ray's actors
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # an actor without a GPU sees none ("0", Ray's default: it sees all)
    "RAY_DEDUP_LOGS": "0",
    # a raylet that asks for its object store a moment too soon, as one in six did, asks again after a whole second
    "RAY_raylet_client_connect_timeout_milliseconds": "20",
    "RAY_raylet_client_num_connect_attempts": "500",  # ten seconds in all, as without these
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
_INSIDE = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # where Ray runs a submitted job


def import_ray() -> None:
    """Import it in its environment, of which it reads some when it is imported."""
    _set_environment()
    importlib.import_module("ray")


def _set_environment() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _use_saved_token() -> None:
    """Ray saves its token under the home directory, but asks for it only where the mode says so."""
    if "RAY_AUTH_MODE" not in os.environ and (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_MODE"] = "token"


def is_own(given: str | None) -> bool:
    """Whether a Ray of this machine's own would be started, and no cluster connected to."""
    address = given if given is not None else os.environ.get("RAY_ADDRESS")
    return address == "local" or (address is None and _INSIDE not in os.environ)


def _address(given: str | None) -> tuple[str, bool]:
    """Which Ray to connect to, and whether it is one of our own; a port where nothing listens is told at once.

    Raises:
        RaybenchError: no such address, or nothing answers there (Ray itself would wait for minutes).
    """
    source = "--address" if given is not None else "RAY_ADDRESS"
    address = given if given is not None else os.environ.get("RAY_ADDRESS")
    if address is None:
        return ("auto", False) if _INSIDE in os.environ else ("local", True)
    if address.startswith("ray://"):
        raise RaybenchError(f"{source} {address}: a driver must run inside the cluster; use `raybench submit`")
    if address == "local":
        return address, True
    if address != "auto" and not reachable(address):
        raise RaybenchError(f"{source} {address!r}: no Ray answers there; want host:port of the head")
    return address, False


def reachable(address: str, timeout: float = 5.0) -> bool:
    """Whether something listens at host:port."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return False
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout):
            return True
    except (OSError, OverflowError):
        return False


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Those of Ray's start. Filters are of the whole process, so a thread beside the main one leaves them alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _start(num_cpus: int) -> None:
    import ray

    ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
    )


def starts_without_agents(num_cpus: int) -> bool:
    """Whether a Ray that serves is there; where not, none is, and why is said by a start as Ray means it."""
    import ray

    if sys.platform != "linux":  # only there it was seen
        return False
    with suppress(Exception), without_agents():
        _start(num_cpus)
        if not ray.get_runtime_context().runtime_env:  # else an agent would make it: of `uv run`, a hook, a job inside
            return True
    ray.shutdown()
    return False


@contextmanager
def connect(resources: Resources, address: str | None = None) -> Iterator[ActorPlan]:
    """Connect, yield what may be used, and shut the connection down: an embedded Ray ends with it."""
    _set_environment()
    named, embedded = _address(address)
    if embedded:
        num_cpus = check_machine(resources, os.cpu_count() or 1)
    else:
        _use_saved_token()
    with _no_warnings():
        import ray

        silence_raylet()
        try:
            if embedded:
                logging.getLogger("ray").setLevel(logging.ERROR)  # not a word of its own start
                with without_helpers():
                    if not starts_without_agents(num_cpus):
                        _start(num_cpus)
            else:
                ray.init(address=named, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise RaybenchError(f"Ray at {named}: cannot connect ({reason})") from error
    try:
        yield plan_actors(resources, read_nodes(), [] if embedded else read_growth())
    finally:
        ray.shutdown()
