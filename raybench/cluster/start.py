"""Starting an actor: with its context, or without one, to import what it will need while the driver still plans."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from raybench.cluster.placement import ActorPlan

__all__ = ["start_actor"]


def start_actor(cluster: ActorPlan, context: Any, *, avoided: Collection[str] = (), imports: Sequence[str] = ()) -> Any:
    """The handle of an actor on any node, but on those to avoid only where no other will do."""
    from ray.util.scheduling_strategies import NodeLabelSchedulingStrategy, NotIn

    from raybench.cluster.worker import Worker

    strategy: Any = "DEFAULT"
    if avoided:
        strategy = NodeLabelSchedulingStrategy(hard={}, soft={"ray.io/node-id": NotIn(*sorted(avoided))})
    worker: Any = Worker
    return worker.options(
        num_cpus=cluster.cpus_per_actor,
        num_gpus=cluster.gpus_per_actor,
        enable_task_events=False,
        scheduling_strategy=strategy,
    ).remote(context, imports)
