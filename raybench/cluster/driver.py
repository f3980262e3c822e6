"""The driver's loop: the queue says what to do, the pool does it, the ledger keeps it, the observer is told."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from raybench.cluster.deadline import Deadline
from raybench.cluster.interrupt import noting_interrupts
from raybench.cluster.observer import AtWork, Observer
from raybench.cluster.pool import Pool
from raybench.core import Shard, Status
from raybench.core.errors import StoreFullError
from raybench.results.ledger import Ledger
from raybench.results.measure import Measured
from raybench.results.race import Open, Stop
from raybench.results.racing import Races
from raybench.schedule.queue import Queue
from raybench.schedule.retry import Failure
from raybench.schedule.shards import AHEAD_SECONDS, shards_ahead
from raybench.schedule.work import (
    Action,
    ActorReady,
    Event,
    Failed,
    Finish,
    Fit,
    Fitted,
    Lost,
    Prepared,
    Release,
    Send,
    StartActor,
    StopActor,
)
from raybench.store.trials import TrialRow

__all__ = ["Driver"]

_TURN_SECONDS = 1.0
_WAIT_SECONDS = 1.0


class Driver:
    """Runs a queue to its end over a pool of actors."""

    def __init__(
        self,
        *,
        queue: Queue,
        pool: Pool,
        ledger: Ledger,
        observer: Observer,
        races: Races,
        deadline: Deadline | None = None,
    ) -> None:
        self._queue, self._pool, self._observer, self._races = queue, pool, observer, races
        self.ledger, self._deadline = ledger, deadline
        self._shard_seconds = AHEAD_SECONDS  # a running mean
        self._last_turn = time.monotonic()
        self.measured: Mapping[str, Measured] = {}
        self.idle: list[Any] = []

    def run(self) -> None:
        """Until every trial has ended; on any exception what is committed is written and the actors are ended.

        Else those that have nothing to do are `idle`, for whoever has more.
        """
        with self.ledger, noting_interrupts() as interrupted:
            try:
                self._act(self._queue.start())
                self._act(self._judged(self._races.begin()))
                while not self._queue.done:
                    if interrupted():
                        raise KeyboardInterrupt
                    unplaced = self._pool.unplaced()
                    actions: list[Action] = self._queue.give_up(unplaced) if unplaced else []
                    for event in self._pool.wait(_WAIT_SECONDS):
                        known = event
                        if isinstance(event, Prepared):  # now that its batch plan is known
                            known = replace(event, scored=self.ledger.earlier(event.data_key, event.plan))
                        verdicts = self._observe(known)
                        actions += self._queue.step(known)
                        actions += self._judged(verdicts)
                    self._act(actions)
                    if self._deadline is not None and self._deadline.is_over and not self._queue.done:
                        self._act(self._queue.stop(self._queue.left, self._deadline.reason))
                    if time.monotonic() - self._last_turn >= _TURN_SECONDS:
                        self._last_turn = time.monotonic()
                        self.ledger.turn()
                        self._observer.tick(self._at_work())
                self.ledger.turn()
                self._observer.reached("scored", time.time())
                self.measured = self._pool.measure(_to_measure(self.ledger.rows.values()), interrupted)
                for moment, at in self._pool.moments():
                    self._observer.reached(moment, at)
                self.idle = self._pool.keep_idle()
            finally:
                self._pool.stop_all()

    def _at_work(self) -> list[AtWork]:
        """Of each actor that has work, the piece it is at."""
        pieces = [(actor, self._queue.in_flight(actor)[:1], said) for actor, said in self._pool.at_work()]
        return [AtWork(actor, work[0], said) for actor, work, said in pieces if work]

    def _observe(self, event: Event) -> list[Stop | Open]:
        verdicts: list[Stop | Open] = []
        match event:
            case ActorReady():
                self._observer.reached("actor", time.time())
            case Lost(actor=actor, failure=failure):
                self._observer.actor_lost(actor, failure.message)
                for work in self._queue.in_flight(actor)[:1]:
                    self.ledger.remember(getattr(work, "trial_id", None), failure.traceback)
            case Failed(work=work, failure=failure):
                _end_run_on(failure)
                for trial_id in self._queue.trials_of(work) if isinstance(work, Fit | Shard) else ():
                    self.ledger.remember(trial_id, failure.traceback)
            case Prepared(data_key=data_key, num_batches=num_batches, scored=scored):
                self._observer.batches_planned(data_key, num_batches)
                for trial_id, ranges in scored.items():
                    self._observer.found_scored(trial_id, sum(stop - start for start, stop in ranges))
                    if (basis := self.ledger.basis(trial_id)) is not None:
                        verdicts += self._races.found(trial_id, basis)
            case Fitted(failures=failures, metas=metas):
                self.ledger.fitted(metas)
                for fitted, failure in failures.items():
                    _end_run_on(failure)
                    for trial_id in self._queue.trials_of(Fit(trial_ids=(fitted,))):
                        self.ledger.remember(trial_id, failure.traceback)
        for commit in self._pool.take_commits():
            if self.ledger.commit(commit):
                verdicts += self._races.committed(commit)
                self._observer.shard_scored(commit)
                self._shard_seconds += (commit.wall_seconds - self._shard_seconds) / 16
        self._queue.ahead = shards_ahead(self._shard_seconds)
        return verdicts

    def _judged(self, verdicts: list[Stop | Open]) -> list[Action]:
        """What the queue does about what races say."""
        actions: list[Action] = []
        for verdict in verdicts:
            if isinstance(verdict, Stop):
                actions += self._queue.stop(verdict.trial_ids, verdict.reason)
            else:
                actions += self._queue.open(verdict.trial_ids, verdict.round)
        return actions

    def _act(self, actions: list[Action]) -> None:
        follow: list[Stop | Open] = []
        sends: dict[tuple[int, str], list[Send]] = {}  # shards of one trial for one actor make one call
        for action in actions:
            match action:
                case StartActor(actor=actor, delay_seconds=delay_seconds):
                    self._pool.start(actor, delay_seconds)
                case StopActor(actor=actor):
                    if not self._queue.done:  # else they measure what has ended, and are ended together
                        self._pool.stop(actor)
                case Send(actor=actor, work=work):
                    sends.setdefault((actor, getattr(work, "trial_id", "")), []).append(action)
                case Finish(trial_id=trial_id, status=status, reason=reason):
                    self._observer.trial_ended(self.ledger.end(trial_id, status, reason))
                    follow += self._races.ended(trial_id)
                case Release(keys=keys):
                    self._pool.release(keys)
        for (actor, _), pieces in sends.items():
            still = self._queue.in_flight(actor)  # an actor lost in the same moment has nothing in flight any more
            if pieces[-1].work in still:
                self._pool.send(actor, [piece.work for piece in pieces], pieces[0].reads)
        if follow:
            self._act(self._judged(follow))


def _to_measure(rows: Iterable[TrialRow]) -> list[TrialRow]:
    """Of the trials that ended well what measuring reads; those of a dataset together, for they share much of it."""
    ended = sorted((row for row in rows if row.status is Status.OK), key=lambda row: str(row.identity.get("dataset")))
    return [replace(row, identity={}, cost={}, provenance={"basis": row.basis}) for row in ended]


def _end_run_on(failure: Failure) -> None:
    if failure.ends_run:
        raise StoreFullError(failure.message)
