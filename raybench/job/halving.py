"""What of a job cannot be where its fits are halved, as far as the job file shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raybench.job.source_map import Path
from raybench.job.spec import Job

__all__ = ["check_halving"]


def check_halving(job: Job) -> Iterator[tuple[Path, str]]:
    """Where a mistake stands, and what it is."""
    if job.halving is None:
        return
    if job.race is not None:
        yield ("race",), "a race stops scoring and halving fitting, each by its own rule: a job has one of the two"
    told_of: set[Any] = set()
    for candidate in job.candidates:
        if candidate._path in told_of:  # the checkpoints of one glob say the same
            continue
        told_of.add(candidate._path)
        if "epochs" in candidate.grid:
            reason = "halving compares configurations after equally many epochs; give one number under method"
            yield (*candidate._path, "grid", "epochs"), reason
        patience = "halving decides how many epochs a configuration is worth; leave patience out"
        if candidate.method.hyperparameters.get("patience"):
            yield (*candidate._path, "method", "patience"), patience
        if any(candidate.grid.get("patience", ())):
            yield (*candidate._path, "grid", "patience"), patience
