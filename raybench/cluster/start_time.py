"""How long it takes until the actors of this machine's own Ray can work: Ray, their processes and what they import."""

from __future__ import annotations

import time
from typing import Any

from raybench.cluster.connect import connect
from raybench.job import Resources
from raybench.models.import_structure import remember_folders

__all__ = ["start_seconds"]


def start_seconds(cpus_per_actor: int) -> float:
    """Starts a Ray of its own with as many actors of this size as the machine holds, and ends it."""
    began = time.perf_counter()
    with connect(Resources(cpus_per_actor=cpus_per_actor, gpus_per_actor=0), "local") as cluster:
        import ray

        worker: Any = ray.remote(_Importing).options(num_cpus=cpus_per_actor)
        actors = [worker.remote() for _ in range(cluster.num_actors)]
        ray.get([actor.ready.remote() for actor in actors])
        return time.perf_counter() - began


class _Importing:
    """An actor that imports what a worker does until it fits a first network."""

    def ready(self) -> str:
        remember_folders()
        from transformers import AutoModel, AutoTokenizer, BertModel

        from raybench.cluster import session

        return f"{session.__name__} {AutoModel.__name__} {AutoTokenizer.__name__} {BertModel.__name__}"
