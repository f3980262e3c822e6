"""What of each trial is committed, and its row once it has ended: the one place of a run that writes to the store.

with Ledger(planned, ...) as ledger:
    ledger.earlier(data_key, plan)              # {trial: ranges of batches}: scored by earlier runs
    ledger.commit(commit)
    row = ledger.end(trial_id, Status.OK, None)
    ledger.turn()                               # every second or so; raises what could not be written

Execution is at least once, its effect exactly once: the first commit of a shard wins and what is not committed did not
happen. Commits are written a turn at a time; a driver that is killed loses at most those.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any

from raybench.core import Status, Trial
from raybench.core.errors import RaybenchError
from raybench.metrics.coverage import Coverage
from raybench.planning.plan import PlannedTrial
from raybench.results.reduce import reduce_trial
from raybench.results.settled import is_settled
from raybench.store import Store
from raybench.store.checkpoints import checkpoint_bytes, read_metadata
from raybench.store.held_commits import HeldCommits
from raybench.store.parquet import Skipped
from raybench.store.shards import ShardCommit, disjoint
from raybench.store.trials import TrialRow
from raybench.store.writer import Writer

__all__ = ["Ledger", "blank_row"]


_MOST_KEPT_BYTES = 4 << 30  # a grid's checkpoints until one is chosen: a disk that fills up ends the run


class Ledger:
    """`rows` and `tracebacks` hold, by trial id, what has ended and how it failed."""

    def __init__(
        self,
        planned: Mapping[str, PlannedTrial],
        *,
        expected: Mapping[str, Coverage],  # dataset → the coverage that the examples of its trials must have
        usable: Callable[[PlannedTrial, str], list[ShardCommit]],  # under a batch plan, from earlier runs
        kept: frozenset[str] = frozenset(),  # checkpoints that are read when all of these trials have ended, too
        metas: Mapping[str, str] = MappingProxyType({}),  # what earlier runs' fits left, by checkpoint, as JSON
        store: Store,
        skipped: Skipped,
        check: Callable[[], None],  # raises when another run has taken the trials over
    ) -> None:
        self._planned, self._expected, self._usable, self._store = planned, expected, usable, store
        self._kept, self._kept_bytes = kept, 0
        self._metas = dict(metas)
        self._readers: dict[str, set[str]] = defaultdict(set)  # of each checkpoint those that have not ended well
        for trial_id, one in planned.items():
            self._readers[one.work.checkpoint].add(trial_id)
        self._commits: dict[str, HeldCommits] = defaultdict(HeldCommits)
        self._writer = Writer(store, skipped, check)
        self.rows: dict[str, TrialRow] = {}
        self.tracebacks: dict[str, str] = {}

    def __enter__(self) -> Ledger:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, traceback)

    def earlier(self, data_key: str, plan: str) -> dict[str, tuple[tuple[int, int], ...]]:
        """By trial of this data key, the batches of this batch plan that need no more scoring; of each told once."""
        found = {
            trial_id: self._usable(one, plan)
            for trial_id, one in self._planned.items()
            if one.work.data_key == data_key and trial_id not in self.rows and trial_id not in self._commits
        }
        self._commits |= {trial_id: HeldCommits(commits) for trial_id, commits in found.items()}
        return {trial_id: tuple((one.start, one.stop) for one in commits) for trial_id, commits in found.items()}

    def fitted(self, metas: Mapping[str, str]) -> None:
        """What fits of this run left beside their arrays, by checkpoint."""
        self._metas |= metas

    def commit(self, commit: ShardCommit) -> bool:
        """Whether the shard is of a trial that has not ended, and so is kept."""
        if commit.trial_id in self.rows:
            return False
        self._commits[commit.trial_id].add(commit)
        self._store.shards.append(commit)
        return True

    def basis(self, trial_id: str) -> str | None:
        """What the shards of a trial under way were scored on; None: there are none yet."""
        held = self._commits.get(trial_id)
        return held.basis if held else None

    def remember(self, trial_id: str | None, traceback: str) -> None:
        """Why a trial fails, for whoever asks for it."""
        if trial_id is not None and traceback:
            self.tracebacks[trial_id] = traceback

    def end(self, trial_id: str, status: Status, reason: str | None) -> TrialRow:
        """The trial's row: of its shards where it ended well and they cover each example once."""
        held, planned = self._commits.pop(trial_id, HeldCommits()), self._planned[trial_id]
        row = replace(blank_row(planned.trial), status=status, reason=reason, finished_at=time.time())
        if status is Status.OK:
            try:
                expected = self._expected[planned.trial.dataset.name]
                row = reduce_trial(row, held.all(), expected, self._fit_meta(planned))
            except RaybenchError as error:  # examples missing or counted twice: named, and never published
                row = replace(row, status=Status.FAILED, reason=str(error))
            checkpoint = planned.work.checkpoint
            self._readers[checkpoint].discard(trial_id)
            unread = not self._readers[checkpoint] and not self._keeps(checkpoint)
            if not self._readers[checkpoint]:
                self._metas.pop(checkpoint, None)
            # also where shards do not add up, or the next run would find them again
            self._writer.ended(row, checkpoint if unread else "")
        if status is Status.STOPPED and is_settled(status, reason) and held.basis is not None:
            scored = sum(commit.num_examples for commit in disjoint(held.all()))  # the shards stay for other races
            row = replace(row, num_examples=scored, provenance={"basis": held.basis, "race": planned.race})
        self.rows[trial_id] = row
        self._store.trials.append(row)
        return row

    def turn(self) -> None:
        """Begin to write what has been committed since."""
        self._writer.turn()

    def _keeps(self, checkpoint: str) -> bool:
        """Whether it is for those to come, and there is room for it: else it is fitted again."""
        if checkpoint not in self._kept:
            return False
        size = checkpoint_bytes(self._store.files, checkpoint)
        if self._kept_bytes + size > _MOST_KEPT_BYTES:
            return False
        self._kept_bytes += size
        return True

    def _fit_meta(self, planned: PlannedTrial) -> dict[str, Any]:
        """As it came with the fit; a store far away would keep the loop waiting at each end."""
        checkpoint = planned.work.checkpoint
        if checkpoint not in self._metas and planned.work.needs_fit:  # its actor was lost after it was written
            with suppress(FileNotFoundError):
                self._metas[checkpoint] = read_metadata(self._store.files, checkpoint).get("raybench", "{}")
        return json.loads(self._metas.get(checkpoint, "{}"))


def blank_row(trial: Trial) -> TrialRow:
    """A trial's row before it has ended: what it was, for whoever reads the store without its job."""
    identity = {
        "candidate": trial.candidate,
        "model": trial.model.reference,
        "revision": trial.model.revision,
        "method": trial.method,
        "hyperparameters": dict(trial.hyperparameters),
        "dataset": trial.dataset.name,
        "task": trial.dataset.task,
        "task_config": dict(trial.dataset.task_config),
        "labels": list(trial.dataset.labels),
        "statistics": dict(trial.dataset.statistics),
        "max_length": trial.dataset.max_length,
        "seed": trial.seed,
        **({"until": trial.until} if trial.until else {}),
        "weights_fingerprint": trial.weights_fingerprint,
        "data_fingerprint": trial.dataset.fingerprint,
        "scored": trial.dataset.scored,
        **({"trained_on": trial.dataset.trained_on} if trial.dataset.trained_on else {}),
        "code": dict(trial.code),
    }
    return TrialRow(trial_id=trial.trial_id, status=Status.STOPPED, identity=json.loads(json.dumps(identity)))
