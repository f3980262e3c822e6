"""What decides the bits of a trial's frozen network: one definition for who shares networks, features and fits."""

from __future__ import annotations

from typing import Any

from raybench.core import Trial
from raybench.models.configuration import from_scratch

__all__ = ["network_identity"]


def network_identity(trial: Trial) -> list[Any]:
    """All that a task's network is opened with, JSON-like, but for its device and variant.

    The seed is among it only where there are no weights: else only a fresh head is drawn from it, which is drawn anew
    for every trial and which features do not see.
    """
    data = trial.dataset
    seed = trial.seed if from_scratch(trial.model) else None
    return [trial.weights_fingerprint, seed, [data.task, data.network_config, list(data.labels)]]
