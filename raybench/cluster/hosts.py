"""Whether every machine of a cluster sees a store that is a path: asked before anything starts, told in one line.

check_hosts(agreement, store.files, cpus_per_actor)

A path may be one that all nodes share, so its form decides nothing: a process on each other machine looks for what the
driver wrote. Machines that join later are looked at by their actors.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from raybench.cluster.agreement import Agreement, check_agreement
from raybench.core.errors import RaybenchError, StoreError
from raybench.store.files import Files

__all__ = ["ask_hosts", "check_hosts", "other_hosts", "refusal"]

_ASK_SECONDS = 120.0  # a machine that answers later is looked at by its actors


def check_hosts(agreement: Agreement, files: Files, cpus_per_actor: int) -> None:
    """Raise a RaybenchError when a machine that could hold an actor does not see a store that is a path."""
    import ray

    if "://" in files.absolute_url:
        return
    here = ray.util.get_node_ip_address()
    hosts = other_hosts(ray.nodes(), here, cpus_per_actor)
    if error := refusal(ask_hosts(hosts, agreement, files.absolute_url)):
        raise error


def other_hosts(nodes: list[dict[str, Any]], here: str, cpus: int) -> dict[str, str]:
    """Of every other machine that could hold an actor, its address and the id of one node on it."""
    able = [node for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= cpus]
    return {node["NodeManagerAddress"]: node["NodeID"] for node in able if node["NodeManagerAddress"] != here}


def ask_hosts(hosts: Mapping[str, str], agreement: Agreement, url: str) -> dict[str, str | None]:
    """Why each host does not see the store, by its address, or None; those that do not answer are left out."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(_ask)
    asked = {
        look.options(
            num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
        ).remote(agreement, url): host
        for host, node in hosts.items()
    }
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=_ASK_SECONDS) if asked else ([], [])
    for ref in late:
        ray.cancel(ref, force=True)
    answers: dict[str, str | None] = {}
    for ref in done:
        with suppress(ray.exceptions.RayError):  # the machine has gone, or has no raybench: actors find that out too
            answers[asked[ref]] = ray.get(ref)
    return answers


def refusal(answers: Mapping[str, str | None]) -> StoreError | None:
    """One line about the machines that do not see the store, or None where all do."""
    wrong = sorted((host, reason) for host, reason in answers.items() if reason is not None)
    if not wrong:
        return None
    (host, reason), *others = wrong
    more = f"; likewise {len(others)} other machine{'s' if len(others) > 1 else ''}" if others else ""
    return StoreError(f"{host}: {reason}{more}")


def _ask(agreement: Agreement, url: str) -> str | None:
    try:
        check_agreement(agreement, Files(url))
    except StoreError as error:
        return str(error)
    except RaybenchError:
        pass  # a bad node ends no run: its actors say what is wrong, and others are started elsewhere
    return None
