"""Measuring this machine for `raybench plan --calibrate`, and what is known of it without."""

from __future__ import annotations

import os
from glob import glob
from typing import NamedTuple

from rich.console import Console

from raybench.job import Resources
from raybench.models.forward_cost import Rate
from raybench.planning.rates import Rates, keep_rates, recall_rates

__all__ = ["Machine", "calibrate", "count_gpus", "this_machine"]

# a guess where nothing was measured: a core of a server, a data centre's GPU
_GUESSED = {"cpu": (Rate(384, 5e10, 4e10),), "cuda": (Rate(384, 4e13, 2e13),)}
_GUESSED_START, _GUESSED_HELD = 10.0, 4.5e8  # an actor of baselines alone held 0.40 GB


class Machine(NamedTuple):
    """What one actor of a job is here, and what it was measured to do or is guessed to."""

    rates: Rates
    is_measured: bool
    threads: int
    device: str
    gpus_per_actor: float


def this_machine(resources: Resources) -> Machine:
    """An actor of this size on this machine; imports no torch."""
    gpus = resources.gpus_per_actor
    gpus = float(bool(count_gpus())) if gpus == "auto" else float(gpus)
    device = "cuda" if gpus else "cpu"
    threads = resources.cpus_per_actor
    found = recall_rates(threads=threads, device=device)
    guess = Rates(
        measured=tuple(Rate(one.hidden, one.forward * threads, one.train * threads) for one in _GUESSED[device]),
        start_seconds=_GUESSED_START,
        memory_bytes=int(_GUESSED_HELD) if device == "cpu" else 0,
        device_bytes=_machine_bytes() if device == "cpu" else 0,
        device_name="",
    )
    return Machine(found or guess, found is not None, threads, device, gpus)


def count_gpus() -> int:
    """How many this machine has, by the system's own devices; imports no torch."""
    return len(glob("/dev/nvidia[0-9]*"))


def calibrate(resources: Resources, console: Console) -> Machine:
    """Measure it, a minute, and remember it in the user's cache."""
    import torch

    from raybench.cluster.start_time import start_seconds
    from raybench.runtime.calibrate import measure_bfloat16, measure_rates
    from raybench.runtime.training.device import device_of
    from raybench.runtime.training.memory import peak_memory_bytes
    from raybench.store.provenance import processor_name

    machine = this_machine(resources)
    device = device_of(machine.gpus_per_actor, cuda_available=torch.cuda.is_available())
    console.print("measuring this machine: how fast an actor computes, how long it takes to start; about a minute")
    torch.set_num_threads(machine.threads)
    held = peak_memory_bytes(device)  # all is imported, nothing opened
    rates = Rates(
        measured=measure_rates(device),
        start_seconds=start_seconds(machine.threads),
        memory_bytes=held,
        device_bytes=torch.cuda.get_device_properties(device).total_memory
        if device.type == "cuda"
        else _machine_bytes(),
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name(),
        in_bfloat16=measure_bfloat16() if device.type == "cpu" else (),
    )
    kept = keep_rates(rates, threads=machine.threads, device=device.type)
    for rate in rates.measured:
        console.print(
            f"  networks of width {rate.hidden}: {rate.forward / 1e9:,.0f} GFLOP/s forward, "
            f"{rate.train / 1e9:,.0f} in training"
        )
    if rates.in_bfloat16:
        forward, train = rates.bfloat16_gain()
        console.print(f"  in bfloat16: {forward:.1f} × as fast as in float32 forward, {train:.1f} × in training")
    where = "remembered for this machine" if kept else "not remembered: RAYBENCH_CACHE is empty, or cannot be written"
    console.print(f"  actors start in {rates.start_seconds:.0f} s; {where}", soft_wrap=True)
    return machine._replace(rates=rates, is_measured=True, device=device.type)


def _machine_bytes() -> int:
    """Of memory; the least of what the machine has and what this container may use."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="utf-8") as file:
            limit = file.read().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdecimal() else total
