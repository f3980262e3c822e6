"""Which actors a cluster can hold: decided from its nodes before any is started.

    plan_actors(resources, [Node(cpus=64, gpus=4)])            # an ActorPlan, or one line saying what does not fit
    plan_actors(resources, nodes, [Node(cpus=8, gpus=1, count=20)])      # what the autoscaler may add

An actor lives on one node, so nodes are counted one by one, never summed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from raybench.core.errors import RaybenchError
from raybench.job import Resources

__all__ = ["ActorPlan", "Node", "check_machine", "plan_actors"]

_OVERSUBSCRIBED = 4  # actors of this machine's own Ray may share a CPU, but not by hundreds


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node that is up, or a type of which the autoscaler may start `count` (None: any number)."""

    cpus: float
    gpus: float
    count: int | None = 1

    def holds(self, cpus: int, gpus: float) -> int:
        """How many actors of this size one such node carries."""
        by_cpu = math.floor(self.cpus / cpus + 1e-9)
        return by_cpu if gpus == 0 else min(by_cpu, math.floor(self.gpus / gpus + 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorPlan:
    """How many actors of which size; `note` says where that is not what was asked."""

    num_actors: int
    cpus_per_actor: int
    gpus_per_actor: float
    note: str | None = None


def plan_actors(resources: Resources, nodes: Sequence[Node], growth: Sequence[Node] = ()) -> ActorPlan:
    """As many actors as the job asks for, or as the nodes that are up or may be added carry.

    Raises:
        RaybenchError: no node, now or later, can carry one; or `auto` cannot be decided yet.
    """
    cpus = resources.cpus_per_actor
    gpus = _gpus_per_actor(resources, nodes, growth)
    now = sum(node.holds(cpus, gpus) for node in nodes)
    later = [node.holds(cpus, gpus) * node.count for node in growth if node.count is not None]
    without_end = any(node.count is None and node.holds(cpus, gpus) for node in growth)
    most = max(now, sum(later))
    if most == 0 and not without_end:
        there = _largest(nodes, growth)
        raise RaybenchError(f"resources: an actor of {_size(cpus, gpus)} fits no node; there is {there}")
    asked = resources.actors
    if asked == "auto":
        return ActorPlan(num_actors=max(1, most), cpus_per_actor=cpus, gpus_per_actor=gpus)
    if asked > most and not without_end:
        note = f"actors: {asked} asked, {most} of {_size(cpus, gpus)} fit on {_largest(nodes, growth)}"
        return ActorPlan(num_actors=most, cpus_per_actor=cpus, gpus_per_actor=gpus, note=note)
    return ActorPlan(num_actors=asked, cpus_per_actor=cpus, gpus_per_actor=gpus)


def check_machine(resources: Resources, num_cpus: int) -> int:
    """How many CPUs this machine's own Ray is given: its own, or more where a few more actors are asked for.

    Raises:
        RaybenchError: far more are asked for than there are.
    """
    cpus = resources.cpus_per_actor
    if cpus > num_cpus:
        raise RaybenchError(f"resources: cpus_per_actor: {cpus}, but this machine has {num_cpus}")
    wanted = cpus * (1 if resources.actors == "auto" else resources.actors)
    if wanted > _OVERSUBSCRIBED * num_cpus:
        raise RaybenchError(
            f"resources: actors: {resources.actors} of {_size(cpus, 0)} want {wanted} CPUs, but this machine has "
            f"{num_cpus}; at most {_OVERSUBSCRIBED} times as many may be asked for, `auto` takes what there is"
        )
    return max(num_cpus, wanted)


def _gpus_per_actor(resources: Resources, nodes: Sequence[Node], growth: Sequence[Node]) -> float:
    if resources.gpus_per_actor != "auto":
        return float(resources.gpus_per_actor)
    if not growth and not any(node.cpus for node in nodes):
        raise RaybenchError(
            "resources: gpus_per_actor: auto cannot be decided while no worker node is up; say 0, 1 or a fraction"
        )
    return float(any(node.gpus for node in (*nodes, *growth) if node.count != 0))


def _size(cpus: float, gpus: float) -> str:
    words = f"{cpus:g} CPU{'s' if cpus != 1 else ''}"
    return f"{words} and {gpus:g} GPU{'s' if gpus > 1 else ''}" if gpus else words


def _largest(nodes: Sequence[Node], growth: Sequence[Node]) -> str:
    every = sorted({(node.cpus, node.gpus) for node in (*nodes, *growth)}, key=lambda size: size[::-1], reverse=True)
    shown = "; ".join(f"{cpus:g} CPUs and {gpus:g} GPUs" for cpus, gpus in every[:3])
    up = f"{len(nodes)} node{'s' if len(nodes) != 1 else ''} up{' or to be added' if growth else ''}"
    return f"{up} ({shown})" if every else up
