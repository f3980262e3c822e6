"""A planned trial with the threshold that validation rows have picked for its fit.

    with_threshold(planned, 0.31)

Its id stays: validation rows, fit and the metric that picks are part of it, and the threshold follows from them.
"""

from __future__ import annotations

from dataclasses import replace

from raybench.planning.plan import PlannedTrial

__all__ = ["with_threshold"]


def with_threshold(planned: PlannedTrial, threshold: float) -> PlannedTrial:
    """The trial whose predictions are made from this probability on."""
    dataset = planned.trial.dataset
    dataset = replace(dataset, task_config={**dataset.task_config, "threshold": threshold})
    return replace(planned, trial=replace(planned.trial, dataset=dataset))
