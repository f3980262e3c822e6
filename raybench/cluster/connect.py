"""Connecting: an embedded Ray on this machine, or the cluster one is inside of or names.

    with connect(resources, address=None) as cluster:
        cluster.num_actors, cluster.gpus_per_actor

The embedded Ray never attaches to whatever a temporary directory happens to name: it is always its own.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raybench.errors import RaybenchError
from raybench.job import Resources

__all__ = ["Cluster", "connect", "plan_actors"]

_ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # an actor without a GPU sees none ("0", Ray's default: it sees all)
    "RAY_DEDUP_LOGS": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What the run may use."""

    num_actors: int
    cpus_per_actor: int
    gpus_per_actor: float


def plan_actors(resources: Resources, available: Mapping[str, float]) -> Cluster:
    """How many actors of which size: as the job says, or as many as the CPUs and GPUs carry."""
    num_gpus = available.get("GPU", 0.0)
    asked = resources.gpus_per_actor
    gpus_per_actor = float(num_gpus > 0) if asked == "auto" else float(asked)
    if resources.actors == "auto":
        by_cpu = int(available.get("CPU", 1.0) // resources.cpus_per_actor)
        by_gpu = math.floor(num_gpus / gpus_per_actor + 1e-9) if gpus_per_actor else by_cpu
        num_actors = max(1, min(by_cpu, by_gpu))
    else:
        num_actors = resources.actors
    return Cluster(
        num_actors=num_actors,
        cpus_per_actor=resources.cpus_per_actor,
        gpus_per_actor=gpus_per_actor,
    )


def _use_saved_token() -> None:
    """Ray saves its token under the home directory, but asks for it only where the mode says so."""
    if "RAY_AUTH_MODE" not in os.environ and (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_MODE"] = "token"


def _silence_raylet() -> None:
    """Keep Ray from printing a paragraph to standard output when an actor dies: the driver says it in one line.

    There is no public switch (`log_to_driver` does not cover it), so Ray's printer is replaced in this process.
    """
    from ray._private import worker

    worker.print_to_stdstream = lambda data, ignore_prefix: None


@contextmanager
def connect(resources: Resources, address: str | None = None) -> Iterator[Cluster]:
    """Connect, yield what may be used, and shut the connection down: an embedded Ray ends with it."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    inside = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ or "RAY_ADDRESS" in os.environ
    embedded = address is None and not inside
    if not embedded:
        _use_saved_token()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray

        _silence_raylet()
        if address is not None and address.startswith("ray://"):
            raise RaybenchError(f"--address {address}: a driver must run inside the cluster; use `raybench submit`")
        try:
            if embedded:
                logging.getLogger("ray").setLevel(logging.ERROR)  # not a word of its own start
                wanted = resources.actors if resources.actors != "auto" else 0
                ray.init(
                    address="local",
                    num_cpus=max(os.cpu_count() or 1, wanted * resources.cpus_per_actor),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    configure_logging=False,
                )
            else:
                ray.init(address=address or "auto", log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise RaybenchError(f"Ray at {address or 'auto'}: cannot connect ({reason})") from error
    try:
        yield plan_actors(resources, ray.cluster_resources())
    finally:
        ray.shutdown()
