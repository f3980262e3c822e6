"""A trial's commits until it ends: those of neighbouring batches are merged as they come, so that few are held.

held = HeldCommits()
held.add(commit)
reduce_trial(blank, held.all(), expected, fit_meta)      # the row that they would make one by one
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pyarrow as pa

from raybench.core.errors import RaybenchError
from raybench.metrics import StateSet
from raybench.store.shards import ShardCommit, disjoint

__all__ = ["HeldCommits"]

_MANY = 32  # that came one by one: then neighbours become one
_FEW = 8  # neighbours that are not worth it yet


class HeldCommits:
    """`basis` is that of the first; the merged ones overlap with nothing that is held."""

    def __init__(self, found: Sequence[ShardCommit] = ()) -> None:
        """`found`: of earlier runs; they are merged when the next one comes, so that not all trials do it at once."""
        self.basis = found[0].basis if found else None
        self._merged: list[ShardCommit] = []
        self._single = list(found)
        self._most = _MANY

    def add(self, commit: ShardCommit) -> None:
        """One of batches that are in merged ones came twice, and holds the same bits."""
        self.basis = commit.basis if self.basis is None else self.basis
        if any(commit.start < one.stop and one.start < commit.stop for one in self._merged):
            return
        self._single.append(commit)
        if len(self._single) >= self._most:
            merged, self._single = _merge_neighbours(self._single)
            self._merged += merged
            self._most = len(self._single) + _MANY

    def all(self) -> list[ShardCommit]:
        """In no order."""
        return [*self._merged, *self._single]


def _merge_neighbours(commits: Sequence[ShardCommit]) -> tuple[list[ShardCommit], list[ShardCommit]]:
    """Runs of neighbours that were made alike, each as one commit; and all others, as they are."""
    runs: list[list[ShardCommit]] = []
    for commit in disjoint(list(commits)):
        if runs and runs[-1][-1].stop == commit.start and _made_on(runs[-1][-1]) == _made_on(commit):
            runs[-1].append(commit)
        else:
            runs.append([commit])
    merged, gone = [], set()
    for run in runs:
        if len(run) >= _FEW:
            with suppress(RaybenchError, pa.ArrowInvalid):  # what does not fit together is said when the trial ends
                merged.append(_merged(run))
                gone |= {id(commit) for commit in run}
    return merged, [commit for commit in commits if id(commit) not in gone]


def _merged(run: Sequence[ShardCommit]) -> ShardCommit:
    first, *rest = (StateSet.from_bytes(commit.states) for commit in run)
    return replace(
        run[0],
        stop=run[-1].stop,
        num_examples=sum(commit.num_examples for commit in run),
        states=first.merge(*rest).to_bytes(),
        score_seconds=math.fsum(commit.score_seconds for commit in run),
        wall_seconds=math.fsum(commit.wall_seconds for commit in run),
        peak_memory_bytes=max(commit.peak_memory_bytes for commit in run),
        drawn=b"",
    )


def _made_on(commit: ShardCommit) -> tuple[object, ...]:
    """What a row says of all its commits."""
    return commit.basis, commit.device, commit.device_name, commit.dtype, commit.threads, commit.versions
