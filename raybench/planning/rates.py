"""How fast this machine computes, as `raybench plan --calibrate` has measured it and the user's cache remembers it.

rates = recall_rates(threads=1, device="cpu")       # None: not measured here, or with other libraries
rates.forward_flops(384)

Kept by processor, libraries, threads and device: whatever is others is measured anew. No torch.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from raybench.core.cache import cache_directory
from raybench.core.identity import content_hash
from raybench.models.forward_cost import Rate
from raybench.store.provenance import library_releases, processor_name

__all__ = ["Rates", "keep_rates", "recall_rates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Of one actor; `memory_bytes` is what a process holds before any work, `device_bytes` what there is."""

    measured: tuple[Rate, ...]
    start_seconds: float
    memory_bytes: int
    device_bytes: int
    device_name: str

    def forward_flops(self, hidden: float) -> float:
        """Operations a second of a forward pass."""
        return _between(hidden, [(rate.hidden, rate.forward) for rate in self.measured])

    def train_flops(self, hidden: float) -> float:
        """Operations a second of steps of training."""
        return _between(hidden, [(rate.hidden, rate.train) for rate in self.measured])


def recall_rates(*, threads: int, device: str) -> Rates | None:
    """What was measured for such an actor on this machine."""
    path = _path(threads, device)
    if path is None:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Rates(**{**found, "measured": tuple(Rate(*one) for one in found["measured"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None  # never measured, or torn: measured anew


def keep_rates(rates: Rates, *, threads: int, device: str) -> Path | None:
    """Remember them; where, or None where nothing is kept."""
    path = _path(threads, device)
    if path is None:
        return None
    unfinished = path.with_name(f".{uuid.uuid4().hex}.tmp")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(asdict(rates)), encoding="utf-8")
        unfinished.replace(path)
        return path
    return None


def _path(threads: int, device: str) -> Path | None:
    base = cache_directory()
    key = [processor_name(), os.cpu_count(), library_releases(), threads, device]
    return None if base is None else base / "rates" / f"{content_hash(key)}.json"


def _between(hidden: float, points: Sequence[tuple[float, float]]) -> float:
    """Between two widths in proportion to their logarithms; beyond them that of the nearest."""
    points = sorted(points)
    for (left, low), (right, high) in pairwise(points):
        if left <= hidden <= right:
            share = math.log(hidden / left) / math.log(right / left)
            return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return points[0][1] if hidden < points[0][0] else points[-1][1]
