"""What the plan says of a trial before anything is opened."""

from __future__ import annotations

from collections.abc import Sequence

from raybench.core import ModelSpec
from raybench.recipes.recipe import recipe_of
from raybench.tasks.task import Task


def check(model: ModelSpec, task: Task, labels: Sequence[str], method: str) -> None:
    """IncompatibleError as the plan tells it."""
    recipe = recipe_of(model, method)
    recipe.check(task, model, labels, recipe.resolve({}))
