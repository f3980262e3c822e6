"""Which steps trials share: those from the first on that the same things decide. No torch: planners ask too.

    beginning(trial, num_rows)                 # equal: the first epoch is the same, so one actor fits them
    epoch_key(method, h, 2, num_rows)          # equal for the epochs 0, 1 and 2: all three are the same
    course(trial, num_rows)                    # a key an epoch: equal where that epoch and all before it are

Which hyperparameters decide an epoch, its method knows (`Method.epoch_settings`).
"""

from __future__ import annotations

from typing import Any

from raybench.core import Trial
from raybench.core.identity import content_hash
from raybench.recipes.methods.catalog import get_method
from raybench.recipes.methods.method import Method

__all__ = ["beginning", "course", "epoch_key"]


def epoch_key(method: Method, hyperparameters: Any, epoch: int, num_rows: int) -> str:
    """What decides the steps of an epoch over `num_rows` rows, beside all that was before it."""
    return content_hash(method.epoch_settings(hyperparameters, epoch, num_rows))


def beginning(trial: Trial, num_rows: int) -> str:
    """What decides a trial's first epoch: weights, rows, method, seed and the epoch's key."""
    method, data = get_method(trial.method), trial.dataset
    rows = [data.training, data.task, data.network_config, data.max_length, list(data.labels)]
    first = epoch_key(method, method.read(trial.hyperparameters), 0, num_rows)
    return content_hash([trial.weights_fingerprint, rows, trial.method, trial.seed, first])


def course(trial: Trial, num_rows: int) -> list[str]:
    """By epoch, what decides it and all before it."""
    method = get_method(trial.method)
    h = method.read(trial.hyperparameters)
    keys = [beginning(trial, num_rows)]
    for epoch in range(1, trial.until or int(getattr(h, "epochs", 1))):
        keys.append(content_hash([keys[-1], epoch_key(method, h, epoch, num_rows)]))
    return keys
