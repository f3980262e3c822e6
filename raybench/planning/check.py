"""Whether a candidate can do a task, found out early from its configuration and file names alone."""

from __future__ import annotations

from collections.abc import Sequence

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import from_scratch, open_config
from raybench.models.files import model_directory
from raybench.models.pooling import pooling_of
from raybench.models.weights import check_weights
from raybench.recipes.baselines.catalog import get_baseline
from raybench.recipes.methods.catalog import get_method
from raybench.tasks.task import Task

__all__ = ["check"]


def check(model: ModelSpec, task: Task, labels: Sequence[str], method: str) -> None:
    """Open nothing heavy and raise what would be raised later.

    Raises:
        ModelError: no such model, no configuration, no safe weights.
        IncompatibleError: it cannot do this task with this method.
    """
    if model.baseline is not None:
        baseline = get_baseline(model.baseline)
        if task.name not in baseline.tasks:
            raise IncompatibleError(
                f"baseline {model.baseline!r} does {', '.join(baseline.tasks)}, not {task.name}; leave it out here"
            )
        return
    config = open_config(model)
    directory = model_directory(model)
    if directory is not None and not from_scratch(model):
        check_weights(model, directory)
    task.check(model, config)
    pooling_of(model)
    if method == "none":
        task.check_own_head(model, labels)
    elif get_method(method).on_features and task.objective not in get_method(method).objectives:
        lacking = "has no one vector a row" if task.objective is None else f"asks for {task.objective} outputs"
        raise IncompatibleError(
            f"method {method!r} fits a head on one vector a row, and {task.name} {lacking}; full, lora or top_layers do"
        )
