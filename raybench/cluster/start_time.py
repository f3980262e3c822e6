"""How long it takes until an actor of this machine's own Ray can work: Ray, its process and what it imports."""

from __future__ import annotations

import time
from typing import Any

from raybench.cluster.connect import connect
from raybench.job import Resources

__all__ = ["start_seconds"]


def start_seconds() -> float:
    """Starts a Ray of its own with one actor, and ends it."""
    began = time.perf_counter()
    with connect(Resources(actors=1, gpus_per_actor=0), "local"):
        import ray

        actor: Any = ray.remote(_Importing).options(num_cpus=1).remote()
        ray.get(actor.ready.remote())
        return time.perf_counter() - began


class _Importing:
    """An actor that imports what a worker imports."""

    def ready(self) -> str:
        from raybench.cluster import session

        return session.__name__
