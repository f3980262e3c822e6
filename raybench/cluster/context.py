"""What every actor of a run is given once, by reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray

from raybench.cluster.agreement import Agreement
from raybench.data.batches import batch_tokens
from raybench.planning.plan import DataNeeds, FeatureNeeds, PlannedTrial
from raybench.results.measure import Measuring
from raybench.schedule.work import Part

__all__ = ["Held", "RunContext"]

Held = Mapping[str, list[tuple[Part, list[ray.ObjectRef[Any]]]]]
"""By key of an artefact its parts, each by reference (in a list: not fetched with the call)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What every actor of a run is given once."""

    store_url: str
    planned: Mapping[str, PlannedTrial]
    data: Mapping[str, DataNeeds]  # by data key
    features: Mapping[str, FeatureNeeds] = field(default_factory=dict)  # by group
    rows: Mapping[str, ray.ObjectRef[Any]] = field(default_factory=dict)  # dataset → its splits
    measuring: Mapping[str, Measuring] = field(default_factory=dict)  # by dataset
    threads: int = 1
    gpus_per_actor: float = 0.0
    batch_tokens: int = batch_tokens("auto", "cpu")  # padded ones, of a batch of test rows
    checkpoint_seconds: float = 30.0  # at most so often a fit under way writes where it is
    agreement: Agreement | None = None  # what an actor must find as the driver does; None in tests of one process
    extra_path: tuple[str, ...] = ()  # where `module:attribute` of the job is found
