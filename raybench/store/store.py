"""One store: its files and the logs over them."""

from __future__ import annotations

from dataclasses import dataclass

from raybench.store.files import Files
from raybench.store.runs import RunDirectory
from raybench.store.shards import ShardLog
from raybench.store.trials import TrialLog

__all__ = ["Store"]


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

    def flush(self) -> None:
        """Write what is pending: shards first, so that a trial's end never stands without them."""
        self.shards.flush()
        self.trials.flush()
