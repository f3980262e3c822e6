"""The tasks by name; the user's own are `module:attribute`."""

from __future__ import annotations

from raybench.core.catalog import make_entry
from raybench.tasks.task import Task

__all__ = ["TASKS", "get_task"]

TASKS = {
    "text-classification": "raybench.tasks.text_classification:TextClassification",
    "image-classification": "raybench.tasks.image_classification:ImageClassification",
}


def get_task(name: str) -> Task:
    """The task of this name; JobError when there is none."""
    task: Task = make_entry("task", name, TASKS, Task)
    return task
