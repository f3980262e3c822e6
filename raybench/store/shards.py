"""Scored shards of trials under way: states and coverage, a few files a trial, the first commit of a batch wins.

log = ShardLog(files)
log.append(commit); log.write(log.take())
usable(log.read(trial_id, skipped), basis)       # disjoint commits in canonical order
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from raybench.store.files import Files
from raybench.store.parquet import Skipped, parquet_bytes, read_folder

__all__ = ["ShardCommit", "ShardLog", "disjoint", "usable"]

_KIND, _VERSION = "shards", 2
_THREADS = 16
_SCHEMA = pa.schema(
    {
        "trial_id": pa.string(),
        "start": pa.int32(),
        "stop": pa.int32(),
        "num_examples": pa.int64(),
        "states": pa.binary(),
        "score_seconds": pa.float64(),
        "wall_seconds": pa.float64(),
        "peak_memory_bytes": pa.int64(),
        "device": pa.string(),
        "dtype": pa.string(),
        "threads": pa.int32(),
        "cost": pa.string(),
        "basis": pa.string(),
        "device_name": pa.string(),
        "versions": pa.string(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCommit:
    """What one scored shard leaves behind: batches [start, stop) and their examples' metric states and coverage."""

    trial_id: str
    start: int
    stop: int
    num_examples: int
    states: bytes  # a StateSet, with its coverage, as Arrow IPC
    score_seconds: float  # what scoring costs, with features charged that were found in a cache
    wall_seconds: float  # what it took here
    peak_memory_bytes: int
    device: str
    dtype: str
    threads: int
    cost: str  # what the model says of itself (parameters, FLOPs), as JSON
    basis: str  # the plan, the checkpoint and the measures it was scored with, see `basis_of`
    device_name: str = ""
    versions: str = "{}"  # of the libraries that made it, as JSON
    drawn: bytes = b""  # for a race, see `Drawn`: on its way to the driver alone, for the records say it too


class ShardLog:
    """Appends commits; those not written are lost with the process and scored again."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._pending: list[ShardCommit] = []
        self.pending_bytes = 0  # of states, which nearly all of a commit is

    def append(self, commit: ShardCommit) -> None:
        """Keep a commit until it is written."""
        self._pending.append(commit)
        self.pending_bytes += len(commit.states)

    def take(self) -> list[ShardCommit]:
        """What is pending, to be written by the caller."""
        pending, self._pending = self._pending, []
        self.pending_bytes = 0
        return pending

    def write(self, commits: Iterable[ShardCommit]) -> None:
        """Write commits, one file a trial."""
        by_trial = defaultdict(list)
        for commit in commits:
            by_trial[commit.trial_id].append({name: getattr(commit, name) for name in _SCHEMA.names})

        def put(trial_id: str) -> None:
            data = parquet_bytes(pa.Table.from_pylist(by_trial[trial_id], _SCHEMA), _KIND, _VERSION)
            self._files.write(f"{_folder(trial_id)}/part-{uuid.uuid4().hex}.parquet", data)

        if len(by_trial) == 1:
            put(*by_trial)
        elif by_trial:
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(put, by_trial))

    def read(self, trial_id: str, skipped: Skipped) -> list[ShardCommit]:
        """A trial's commits by batch, on whatever basis; those of a version that named none are on basis ""."""
        tables = read_folder(self._files, _folder(trial_id), _KIND, skipped)
        rows = [ShardCommit(**{"basis": "", **row}) for table in tables.values() for row in table.to_pylist()]
        return sorted((row for row in rows if row.trial_id == trial_id), key=_canonical)

    def trials(self) -> frozenset[str]:
        """Ids of the trials that have commits."""
        return frozenset(name.removeprefix("trial=") for name in self._files.folders("shards"))

    def remove(self, trial_id: str) -> None:
        """Forget a trial's commits, once its row is written."""
        self._files.remove(_folder(trial_id))


def usable(commits: list[ShardCommit], basis: str) -> list[ShardCommit]:
    """The commits on this basis, disjoint and ordered by batch: the others are put aside, never merged."""
    return disjoint([commit for commit in commits if commit.basis == basis])


def disjoint(commits: list[ShardCommit]) -> list[ShardCommit]:
    """Commits in canonical order with every batch once.

    Two commits of the same batches hold the same bits, so any of them may stay; of overlapping ones the
    one that starts first stays, then the longer.
    """
    kept: list[ShardCommit] = []
    for commit in sorted(commits, key=_canonical):
        if not kept or commit.start >= kept[-1].stop:
            kept.append(commit)
    return kept


def _canonical(commit: ShardCommit) -> tuple[int, int]:
    return commit.start, -commit.stop


def _folder(trial_id: str) -> str:
    return f"shards/trial={trial_id}"
