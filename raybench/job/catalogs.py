"""The names in a job against the catalogues: tasks, methods with their hyperparameters, baselines, metrics.

The catalogues decide; what they refuse gets its place in the file here. An error that carries `key`, the
hyperparameter at fault, is placed at that very key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from raybench.errors import RaybenchError
from raybench.job.places import Path
from raybench.job.spec import CandidateSpec, Job

__all__ = ["check_names"]

Problem = tuple[Path, str]


def check_names(job: Job) -> list[Problem]:
    """Each name that no catalogue knows and each hyperparameter that its method refuses."""
    from raybench.metrics.catalog import find
    from raybench.tasks.catalog import get_task

    problems: list[Problem] = []
    for index, name in enumerate(job.metrics):
        problems += _asked(("metrics", index), find, name)
    if job.rank_by is not None:
        problems += _asked(("rank_by",), find, job.rank_by)
    for dataset in job.datasets:
        problems += _asked((*dataset._path, "task"), get_task, dataset.task)
    places = set()
    for candidate in job.candidates:
        if candidate._path not in places:  # the checkpoints of one glob say the same
            problems += _methods(candidate)
        places.add(candidate._path)
    return problems


def _methods(candidate: CandidateSpec) -> Iterator[Problem]:
    from raybench.baselines.catalog import get_baseline
    from raybench.methods.catalog import get_method

    if candidate.baseline is not None:
        yield from _asked((*candidate._path, "baseline"), get_baseline, candidate.baseline)
        for key in (*candidate.grid, *candidate.method.hyperparameters):
            written = "grid" if key in candidate.grid else "method"
            yield (*candidate._path, written, key), f"baseline {candidate.baseline} has no hyperparameter {key}"
        return
    for _, name, hyperparameters in candidate.expand():
        try:
            get_method(name).resolve(hyperparameters)
        except RaybenchError as error:
            written = "grid" if set(error.key) & set(candidate.grid) else "method"
            yield (*candidate._path, written, *error.key), str(error)


def _asked(path: Path, find: Callable[[str], Any], name: str) -> Iterator[Problem]:
    try:
        find(name)
    except RaybenchError as error:
        yield path, str(error)
