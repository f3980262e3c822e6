"""Whether a candidate can do a task, found out early from its configuration and file names alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.configuration import from_scratch, open_config
from raybench.models.files import model_directory
from raybench.models.labels import has_head, match_labels, own_labels
from raybench.models.pooling import pooling_of
from raybench.models.weights import check_weights

if TYPE_CHECKING:
    from raybench.tasks.task import Task

__all__ = ["check", "check_own_head", "find_own_head"]


def check(model: ModelSpec, task: Task, labels: Sequence[str], method: str | None = None) -> None:
    """Open nothing heavy and raise what would be raised later.

    Raises:
        ModelError: no such model, no configuration, no safe weights.
        IncompatibleError: it cannot do this task with this method.
    """
    if model.baseline is not None:
        from raybench.recipes.baselines.catalog import get_baseline

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
        check_own_head(model, labels)


def check_own_head(model: ModelSpec, labels: Sequence[str]) -> tuple[int, ...]:
    """The order that puts the checkpoint's outputs into the dataset's labels.

    Raises:
        IncompatibleError: it has no trained head, or one for other labels.
    """
    config = open_config(model)
    do = "method 'frozen' or 'full' would train a head"
    if from_scratch(model) or not has_head(config):
        saved_as = (config.architectures or [config.model_type])[0] if not from_scratch(model) else "random weights"
        raise IncompatibleError(f"model {model.reference!r}: no trained head to score as it is ({saved_as}); {do}")
    order = match_labels(config, labels)
    if order is None:
        raise IncompatibleError(
            f"model {model.reference!r}: its head knows {_list(own_labels(config))}, "
            f"the dataset has {_list(labels)}; {do}"
        )
    return order


def find_own_head(model: ModelSpec, labels: Sequence[str]) -> tuple[int, ...] | None:
    """As `check_own_head`, or None where it has no trained head for these labels."""
    try:
        return check_own_head(model, labels)
    except IncompatibleError:
        return None


def _list(names: Sequence[str], shown: int = 5) -> str:
    more = f" … ({len(names)})" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
