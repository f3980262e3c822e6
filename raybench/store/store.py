"""One store: its files and the logs over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from raybench.store.files import Files
from raybench.store.runs import RunDirectory
from raybench.store.shards import ShardCommit, ShardLog
from raybench.store.trials import TrialLog, TrialRow

__all__ = ["Pending", "Store"]


class Pending(NamedTuple):
    """Commits and ends that are not in the store yet."""

    commits: list[ShardCommit]
    rows: list[TrialRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A directory or bucket and its logs."""

    files: Files
    shards: ShardLog
    trials: TrialLog

    @classmethod
    def open(cls, url: str) -> Store:
        """Open a store; nothing is created until something is written. StoreError where none can be."""
        files = Files(url)
        files.check_readable()
        return cls(files=files, shards=ShardLog(files), trials=TrialLog(files))

    def run(self, run_id: str) -> RunDirectory:
        """The directory of one run."""
        return RunDirectory(files=self.files, run_id=run_id)

    def take(self) -> Pending:
        """What is pending, to be written by the caller."""
        return Pending(self.shards.take(), self.trials.take())

    def write(self, pending: Pending) -> None:
        """Write what was pending: shards first, so that a trial's end never stands without them."""
        self.shards.write(pending.commits)
        self.trials.write(pending.rows)

    def flush(self) -> None:
        """Write what is pending."""
        self.write(self.take())
