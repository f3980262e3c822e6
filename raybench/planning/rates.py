"""How fast this machine computes, as `raybench plan --calibrate` has measured it and the user's cache remembers it.

rates = recall_rates(threads=1, device="cpu")       # None: not measured here, or with other libraries
rates.forward_flops(384)

Kept by processor, libraries, threads and device: whatever is others is measured anew. No torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from raybench.core.remembered import keep, recall
from raybench.models.forward_cost import Rate
from raybench.store.provenance import library_releases, processor_name

__all__ = ["Rates", "keep_rates", "recall_rates"]

_KIND = "rates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Of one actor; `memory_bytes` is what a process holds before any work, `device_bytes` what there is.

    `in_bfloat16` is what a CPU does where `measured` is in float32, of some of the widths; empty: not measured.
    """

    measured: tuple[Rate, ...]
    start_seconds: float
    memory_bytes: int
    device_bytes: int
    device_name: str
    in_bfloat16: tuple[Rate, ...] = ()

    def forward_flops(self, hidden: float, *, bfloat16: bool = False) -> float:
        """Operations a second of a forward pass, on a CPU in float32 unless `bfloat16`."""
        flops = _between(hidden, [(rate.hidden, rate.forward) for rate in self.measured])
        return flops * self.bfloat16_gain()[0] if bfloat16 else flops

    def train_flops(self, hidden: float, *, bfloat16: bool = False) -> float:
        """Operations a second of steps of training, likewise."""
        flops = _between(hidden, [(rate.hidden, rate.train) for rate in self.measured])
        return flops * self.bfloat16_gain()[1] if bfloat16 else flops

    def bfloat16_gain(self) -> tuple[float, float]:
        """How many times as fast forward passes and steps are in bfloat16, the least of the widths; 1: not measured."""
        gains = [
            (one.forward / self.forward_flops(one.hidden), one.train / self.train_flops(one.hidden))
            for one in self.in_bfloat16
        ]
        return min((gain for gain, _ in gains), default=1.0), min((gain for _, gain in gains), default=1.0)


def recall_rates(*, threads: int, device: str) -> Rates | None:
    """What was measured for such an actor on this machine."""
    found = recall(_KIND, _key(threads, device))
    if found is None:
        return None
    lists = {name: tuple(Rate(*one) for one in found[name]) for name in ("measured", "in_bfloat16")}
    return Rates(**{**found, **lists})


def keep_rates(rates: Rates, *, threads: int, device: str) -> bool:
    """Remember them; whether they are."""
    keep(_KIND, _key(threads, device), asdict(rates))
    return recall_rates(threads=threads, device=device) == rates


def _key(threads: int, device: str) -> Any:
    words = [*(one.name for one in fields(Rates)), *Rate._fields]  # of another version, another question
    return [words, processor_name(), os.cpu_count(), library_releases(), threads, device]


def _between(hidden: float, points: Sequence[tuple[float, float]]) -> float:
    """Between two widths in proportion to their logarithms; beyond them that of the nearest."""
    points = sorted(points)
    for (left, low), (right, high) in pairwise(points):
        if left <= hidden <= right:
            share = math.log(hidden / left) / math.log(right / left)
            return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return points[0][1] if hidden < points[0][0] else points[-1][1]
