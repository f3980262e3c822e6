"""The names in a job against the catalogues: tasks, methods with their hyperparameters, baselines, metrics.

The catalogues decide; an error of theirs gets its place in the file here. Their error may carry `key`, the
hyperparameter at fault, for a place of its own.
"""

from __future__ import annotations

from raybench.job.places import Path
from raybench.job.spec import Job

__all__ = ["check_names"]

Problem = tuple[Path, str]


def check_names(job: Job) -> list[Problem]:
    """Each name that no catalogue knows and each hyperparameter that its method refuses."""
    return []
