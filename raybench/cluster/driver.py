"""The driver's loop: the schedule says what to do, the pool does it, and the driver alone commits.

Execution is at least once, its effect exactly once: the first commit of a shard wins and what is not committed did
not happen. Commits are flushed every second or so; a driver that is killed loses at most those.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from raybench.cluster.interrupt import noting_interrupts
from raybench.cluster.observer import Observer
from raybench.cluster.pool import Pool
from raybench.core import Shard, Status
from raybench.core.errors import RaybenchError, StoreFullError
from raybench.metrics.coverage import Coverage
from raybench.results.reduce import reduce_trial
from raybench.schedule.queue import Queue
from raybench.schedule.readers import Readers
from raybench.schedule.retry import Failure
from raybench.schedule.work import (
    Action,
    Event,
    Failed,
    Features,
    Finish,
    Fit,
    Fitted,
    Lost,
    Prepare,
    Prepared,
    Send,
    StartActor,
    StopActor,
    Work,
)
from raybench.store import Store
from raybench.store.checkpoints import read_metadata
from raybench.store.parquet import Skipped
from raybench.store.shards import ShardCommit
from raybench.store.trials import TrialRow
from raybench.store.writer import Writer

__all__ = ["Driver", "shards_ahead"]

_FLUSH_SECONDS = 1.0
_WAIT_SECONDS = 1.0
_AHEAD_SECONDS = 0.1
_MAX_AHEAD = 64


def shards_ahead(shard_seconds: float) -> int:
    """How many shards to give an actor ahead: what it does while the driver turns round, at least one."""
    return max(1, min(_MAX_AHEAD, int(_AHEAD_SECONDS / max(shard_seconds, 1e-9))))


class Driver:
    """Runs a queue to its end over a pool of actors and one store."""

    def __init__(
        self,
        *,
        queue: Queue,
        pool: Pool,
        store: Store,
        blank_rows: Mapping[str, TrialRow],  # trial id → its row without an end
        expected: Mapping[str, Coverage],  # trial id → the coverage its examples must have
        data_keys: Mapping[str, str],
        train_features: Mapping[str, str],  # trial id → the group of features that its fit reads
        test_features: Mapping[str, str],  # and its scoring
        usable: Callable[[str, str], list[ShardCommit]],  # of a trial under a batch plan, from earlier runs
        observer: Observer,
        skipped: Skipped,
        check: Callable[[], None],  # raises when another run has taken the trials over
    ) -> None:
        self._queue = queue
        self._pool = pool
        self._store = store
        self._blank_rows = blank_rows
        self._expected = expected
        self._data_keys = data_keys
        self._train_features, self._test_features = train_features, test_features
        self._data_key_of_group = {
            group: data_keys[name] for reads in (train_features, test_features) for name, group in reads.items()
        }
        self._commits: dict[str, list[ShardCommit]] = defaultdict(list)
        self._usable = usable
        self._readers = Readers(
            {
                name: [key, *(group for reads in (train_features, test_features) if (group := reads.get(name)))]
                for name, key in data_keys.items()
            }
        )
        self._observer = observer
        self._writer = Writer(store, skipped, check)
        self._shard_seconds = _AHEAD_SECONDS  # a running mean
        self._last_flush = time.monotonic()
        self.rows: dict[str, TrialRow] = {}
        self.tracebacks: dict[str, str] = {}

    def run(self) -> None:
        """Until every trial has ended; on any exception what is committed is written and the actors are ended."""
        with self._writer, noting_interrupts() as interrupted:
            try:
                self._act(self._queue.start())
                while not self._queue.done:
                    if interrupted():
                        raise KeyboardInterrupt
                    unplaced = self._pool.unplaced()
                    actions: list[Action] = self._queue.give_up(unplaced) if unplaced else []
                    for event in self._pool.wait(_WAIT_SECONDS):
                        known = self._with_earlier_shards(event) if isinstance(event, Prepared) else event
                        self._observe(known)
                        actions += self._queue.step(known)
                    self._act(actions)
                    if time.monotonic() - self._last_flush >= _FLUSH_SECONDS:
                        self._last_flush = time.monotonic()
                        self._writer.turn()
                        self._observer.tick()
            finally:
                self._pool.stop_all()

    def _with_earlier_shards(self, event: Prepared) -> Prepared:
        """Now that its batch plan is known: what earlier runs have scored of it."""
        found = {
            trial_id: self._usable(trial_id, event.plan)
            for trial_id, key in self._data_keys.items()
            if key == event.data_key and trial_id not in self.rows
        }
        self._commits |= {trial_id: commits for trial_id, commits in found.items() if commits}
        ranges = {trial_id: tuple((one.start, one.stop) for one in commits) for trial_id, commits in found.items()}
        return replace(event, scored=ranges)

    def _observe(self, event: Event) -> None:
        match event:
            case Lost(actor=actor, failure=failure):
                self._observer.actor_lost(actor, failure.message)
                for work in self._queue.in_flight(actor)[:1]:
                    self._remember(getattr(work, "trial_id", None), failure.traceback)
            case Failed(work=work, failure=failure):
                trial_ids = work.trial_ids if isinstance(work, Fit) else [getattr(work, "trial_id", None)]
                _end_run_on(failure)
                for trial_id in trial_ids:
                    self._remember(trial_id, failure.traceback)
            case Prepared(data_key=data_key, num_batches=num_batches, scored=scored):
                self._observer.batches_planned(data_key, num_batches)
                for trial_id, ranges in scored.items():
                    self._observer.found_scored(trial_id, sum(stop - start for start, stop in ranges))
            case Fitted(failures=failures):
                for trial_id, failure in failures.items():
                    _end_run_on(failure)
                    self._remember(trial_id, failure.traceback)
        for commit in self._pool.take_commits():
            if commit.trial_id not in self.rows:
                self._commits[commit.trial_id].append(commit)
                self._store.shards.append(commit)
                self._observer.shard_scored(commit)
                self._shard_seconds += (commit.wall_seconds - self._shard_seconds) / 16
        self._queue.ahead = shards_ahead(self._shard_seconds)

    def _remember(self, trial_id: str | None, traceback: str) -> None:
        if trial_id is not None and traceback:
            self.tracebacks[trial_id] = traceback

    def _act(self, actions: list[Action]) -> None:
        sends: dict[tuple[int, str], list[Work]] = {}  # shards of one trial for one actor make one call
        for action in actions:
            match action:
                case StartActor(actor=actor, delay_seconds=delay_seconds):
                    self._pool.start(actor, delay_seconds)
                case StopActor(actor=actor):
                    self._pool.stop(actor)
                case Send(actor=actor, work=work):
                    sends.setdefault((actor, getattr(work, "trial_id", "")), []).append(work)
                case Finish(trial_id=trial_id, status=status, reason=reason):
                    self._end(trial_id, status, reason)
        for (actor, _), pieces in sends.items():
            still = self._queue.in_flight(actor)  # an actor lost in the same moment has nothing in flight any more
            if pieces[-1] in still:
                self._pool.send(actor, pieces, self._data_key(pieces[0]), self._groups_of(pieces[0]))

    def _data_key(self, work: Work) -> str:
        match work:
            case Prepare(data_key=data_key):
                return data_key
            case Features(group=group):
                return self._data_key_of_group[group]
            case Fit(trial_ids=trial_ids):
                return self._data_keys[trial_ids[0]]
            case Shard(trial_id=trial_id):
                return self._data_keys[trial_id]

    def _groups_of(self, work: Work) -> tuple[str, ...]:
        """The features that a piece of work reads; all of them are there when it is sent."""
        match work:
            case Fit(trial_ids=trial_ids):
                read = [self._train_features.get(trial_id) for trial_id in trial_ids]
            case Shard(trial_id=trial_id):
                read = [self._test_features.get(trial_id)]
            case _:
                read = []
        return tuple(dict.fromkeys(group for group in read if group is not None))

    def _end(self, trial_id: str, status: Status, reason: str | None) -> None:
        commits = self._commits.pop(trial_id, [])
        row = replace(self._blank_rows[trial_id], status=status, reason=reason, finished_at=time.time())
        if status is Status.OK:
            try:
                row = reduce_trial(row, commits, self._expected[trial_id], self._fit_meta(trial_id))
            except RaybenchError as error:  # examples missing or counted twice: named, and never published
                row = replace(row, status=Status.FAILED, reason=str(error))
            self._writer.ended(row)  # also where shards do not add up, or the next run would find them again
        self.rows[trial_id] = row
        self._store.trials.append(row)
        self._observer.trial_ended(row)
        unread = self._readers.end(trial_id)
        if unread:
            self._pool.release(unread)

    def _fit_meta(self, trial_id: str) -> dict[str, Any]:
        try:
            return json.loads(read_metadata(self._store.files, trial_id).get("raybench", "{}"))
        except FileNotFoundError:
            return {}  # nothing was fitted


def _end_run_on(failure: Failure) -> None:
    if failure.ends_run:
        raise StoreFullError(failure.message)
