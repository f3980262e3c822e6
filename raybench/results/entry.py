"""What the ranking is made of: one entry a trial, with its configuration, its end, its scores and its cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from raybench.core import Score, Status, Trial
from raybench.core.identity import canonical_json

__all__ = ["Configuration", "Entry"]


class Configuration(NamedTuple):
    """What a row of the ranking stands for; its seeds are averaged."""

    candidate: str
    model: str
    method: str
    hyperparameters: str  # JSON

    @classmethod
    def of(cls, trial: Trial) -> Configuration:
        return cls(trial.candidate, trial.model.reference, trial.method, canonical_json(dict(trial.hyperparameters)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """A trial as the ranking sees it.

    `replicates` are by metric that ranks its bootstrap values [R], drawn with the same weights an example for every
    trial on the same data and every metric, so that differences are paired; a metric that has none is left out.
    """

    trial: Trial
    status: Status
    reason: str | None
    scores: Mapping[str, Score] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)  # "column=value" → its scores
    num_examples: int = 0
    cost: Mapping[str, Any] = field(default_factory=dict)
    replicates: Mapping[str, np.ndarray] = field(default_factory=dict)
    made_on: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # see `raybench.results.made_on`
