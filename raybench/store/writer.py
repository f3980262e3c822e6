"""Writing beside the driver's loop: commits and ends in one thread, what can go once a trial has ended in another.

with Writer(store, skipped, check) as writer:
    store.shards.append(commit); store.trials.append(row); writer.ended(row)
    writer.turn()                     # every second or so; raises what the last turn could not write

What is taken from the logs and cannot be written is not written later: the run ends, and does it again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from raybench.core.errors import summary
from raybench.store.checkpoints import remove_checkpoint
from raybench.store.parquet import Skipped
from raybench.store.records import compact_records
from raybench.store.store import Pending, Store
from raybench.store.trials import TrialRow
from raybench.store.unfinished import UnfinishedFits

__all__ = ["Writer", "clean_up"]

# What is pending must not grow without end: turns that may go by while one is written, and states that wait meanwhile.
_MOST_TURNS, _MOST_BYTES = 30, 64 << 20


class Writer:
    """One turn is written at a time; what comes in meanwhile is the next one's."""

    def __init__(self, store: Store, skipped: Skipped, check: Callable[[], None]) -> None:
        self._store = store
        self._skipped = skipped
        self._check = check  # raises when the trials are another run's: then no end of one is written, nothing removed
        self._writer, self._cleaner = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._turns_missed = 0
        self._ended: list[tuple[TrialRow, str]] = []

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write the rest and wait for it, unless it was writing that failed."""
        with self._cleaner, self._writer:
            if self._writing is None or self._writing.exception() is None:
                self._begin()
                self._wait()

    def ended(self, row: TrialRow, checkpoint: str) -> None:
        """A trial's shards can go once its row is written, and the checkpoint if nobody else reads it (else "")."""
        self._ended.append((row, checkpoint))

    def turn(self) -> None:
        """Begin to write what is pending, or let what is being written go on."""
        behind = self._turns_missed >= _MOST_TURNS or self._store.shards.pending_bytes >= _MOST_BYTES
        if self._writing is not None and not self._writing.done() and not behind:
            self._turns_missed += 1
            return
        self._wait()
        self._begin()

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def _begin(self) -> None:
        self._turns_missed = 0
        ended, self._ended = self._ended, []
        self._writing = self._writer.submit(self._write, self._store.take(), ended)

    def _write(self, pending: Pending, ended: list[tuple[TrialRow, str]]) -> None:
        if pending.rows:
            self._check()
        self._store.write(pending)
        if ended:
            self._cleaner.submit(self._clean, ended)

    def _clean(self, ended: list[tuple[TrialRow, str]]) -> None:
        for row, checkpoint in ended:
            self._check()
            clean_up(self._store, row, checkpoint, self._skipped)


def clean_up(store: Store, row: TrialRow, checkpoint: str, skipped: Skipped) -> None:
    """Leave of a trial that ended one file of records, nothing else but its row; what goes wrong costs room alone.

    `checkpoint` is the one that it was scored by, where nobody else reads it, or "".
    """
    try:
        compact_records(store.files, row.trial_id, row.basis, skipped)
        if checkpoint:
            remove_checkpoint(store.files, checkpoint)
            UnfinishedFits(store.files).remove([checkpoint])
        store.shards.remove(row.trial_id)
    except Exception as error:
        reason = f"not cleaned up after it ended ({summary(error)}); the next run does it, or `raybench clean`"
        skipped(f"trials: {row.trial_id}", reason)
