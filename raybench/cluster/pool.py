"""Actors and the calls in flight on them: actions become calls, what returns becomes events.

pool = Pool(start_worker)
pool.start(0); pool.send(0, [work], ["rows"]); events = pool.wait(timeout=1.0)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray import exceptions

from raybench.cluster.death import blame, death
from raybench.cluster.internals import draining_nodes, node_of
from raybench.core import Shard
from raybench.core.training_step import TrainingStep
from raybench.results.measure import Measured
from raybench.schedule.divide import divide
from raybench.schedule.retry import Failure, FailureKind
from raybench.schedule.timing import TrialClock
from raybench.schedule.watch import Watch
from raybench.schedule.work import (
    ActorReady,
    Draining,
    Event,
    Failed,
    Featured,
    Features,
    Fit,
    Fitted,
    Lost,
    Missed,
    Missing,
    Part,
    Prepare,
    Prepared,
    Scored,
    Work,
)
from raybench.store.shards import ShardCommit
from raybench.store.trials import TrialRow

__all__ = ["Pool"]

_BEAT_SECONDS = 5.0
_TRIALS_A_CALL, _RECORDS_A_CALL = (8, 32), 1 << 14  # measured: 1.3 ms of the driver a call
_MOMENTS_SECONDS = 0.5


@dataclass(slots=True)
class _Call:
    actor: int
    work: tuple[Work, ...]  # empty: the actor's start; several: shards of one trial

    @property
    def trial_ids(self) -> tuple[str, ...]:
        """Whose time it takes: rows and features are nobody's in particular."""
        match self.work:
            case (Fit(trial_ids=trial_ids),):
                return trial_ids
            case (Shard(trial_id=trial_id), *_):
                return (trial_id,)
        return ()


class Pool:
    """The run's actors, the calls in flight on them, and the rows and features they have made."""

    def __init__(
        self,
        start_worker: Callable[[frozenset[str]], Any],  # a handle of a fresh actor, which had better avoid these nodes
        *,
        hang_seconds: float,
        trial_seconds: float | None = None,
        placement_seconds: float = math.inf,
    ) -> None:
        self._start_worker = start_worker
        self._hang_seconds = hang_seconds
        self._trial_seconds = trial_seconds
        self._placement_seconds = placement_seconds
        self._watch = Watch(hang_seconds=hang_seconds)
        self._clock = TrialClock(limit_seconds=trial_seconds)
        self._due: dict[int, float] = {}  # actors to start, and when
        self._handles: dict[int, Any] = {}
        self._nodes: dict[int, str] = {}  # ready actor → its node
        self._bad_nodes: set[str] = set()  # where the last start failed
        self._memory: dict[int, tuple[int, int]] = {}  # actor → bytes it held when its work began, and holds
        self._drained: set[int] = set()
        self._none_since = time.monotonic()  # since when no actor has been ready
        self._calls: dict[ray.ObjectRef[Any], _Call] = {}
        self._beats: dict[ray.ObjectRef[Any], int] = {}
        self._doing: dict[int, TrainingStep | None] = {}  # actor → how far it said its fit had got
        self._last_beat = time.monotonic()
        self._leaving: dict[ray.ObjectRef[Any], ray.ObjectRef[Any]] = {}  # call → the rows or features it will leave
        self._held: dict[str, dict[Part, ray.ObjectRef[Any]]] = {}  # rows and features by key
        self._told: set[tuple[int, str]] = set()  # actors that know where all parts of a key are
        self._commits: list[ShardCommit] = []
        self._scored_on: dict[str, int] = {}  # trial → the actor that scored its last shard, and may hold its records

    def start(self, actor: int, delay_seconds: float = 0.0) -> None:
        """Start an actor after a while; ActorReady follows when it answers."""
        self._due[actor] = time.monotonic() + delay_seconds

    def _start_due(self, now: float) -> None:
        for actor in [actor for actor, when in self._due.items() if when <= now]:
            del self._due[actor]
            handle = self._start_worker(frozenset(self._bad_nodes))
            self._handles[actor] = handle
            self._calls[handle.ready.remote()] = _Call(actor, ())

    def unplaced(self) -> str | None:
        """Why to give up, when no actor has been ready for as long as the job allows."""
        if self._nodes or time.monotonic() - self._none_since < self._placement_seconds:
            return None
        return f"no actor could be placed and started within {self._placement_seconds / 60:g} minutes"

    def release(self, keys: Sequence[str]) -> None:
        """Let go of rows and features that nobody reads any more, here and in every actor."""
        for key in keys:
            self._held.pop(key, None)
        self._told -= {(actor, key) for actor in self._handles for key in keys}
        for actor in self._nodes:
            self._handles[actor].release.remote(list(keys))

    def send(self, actor: int, work: Sequence[Work], reads: Sequence[str]) -> None:
        """Call the actor with a piece of work, or with several shards of one trial, that reads these artefacts."""
        handle = self._handles[actor]
        unknown = [key for key in reads if key in self._held and (actor, key) not in self._told]
        held = {key: [(part, [ref]) for part, ref in self._held[key].items()] for key in unknown}
        self._told |= {(actor, key) for key in unknown}
        match work[0]:
            case Prepare(data_key=data_key):
                rows, ref = handle.prepare.remote(data_key)
                self._leaving[ref] = rows
            case Features() as part:
                features, ref = handle.features.remote(part, held)
                self._leaving[ref] = features
            case Fit(trial_ids=trial_ids):
                ref = handle.fit.remote(trial_ids, held)
            case Shard(trial_id=trial_id):
                ranges = [(shard.start, shard.stop) for shard in work if isinstance(shard, Shard)]
                ref = handle.score.remote(trial_id, ranges, held)
        call = _Call(actor, tuple(work))
        if not any(other.actor == actor for other in self._calls.values()):
            self._turn_to(actor, call)
        self._calls[ref] = call

    def _turn_to(self, actor: int, call: _Call) -> None:
        """The actor begins with a call: its silence, its time and its memory are counted from now."""
        now = time.monotonic()
        self._watch.working(actor, now)
        self._clock.begin(actor, call.trial_ids, now)
        self._memory.pop(actor, None)
        self._doing.pop(actor, None)

    def stop(self, actor: int) -> None:
        """Kill an actor; what was in flight on it is forgotten."""
        handle = self._handles.pop(actor, None)
        if handle is not None:
            ray.kill(handle, no_restart=True)  # also one that is said to be dead: it may only be out of reach
        self._forget(actor)

    def keep_idle(self) -> list[Any]:
        """Let go of the actors that are ready and have nothing to do, alive: their handles."""
        busy = {call.actor for call in self._calls.values()} | self._drained
        idle = {actor: self._handles.pop(actor) for actor in list(self._nodes) if actor not in busy}
        for actor in idle:
            self._forget(actor)
        return list(idle.values())

    def stop_all(self) -> None:
        """Kill every actor, so that their GPUs are free."""
        for actor in {*self._handles, *self._due}:
            self.stop(actor)

    def wait(self, timeout: float) -> list[Event]:
        """What happened, after at most `timeout` seconds of nothing."""
        self._start_due(time.monotonic())
        events = self._overdue()
        if self._calls and not events:
            done, _ = ray.wait(list(self._calls), num_returns=1, timeout=timeout)
            if done and len(self._calls) > 1:
                done, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
            for ref in done:
                call = self._calls.pop(ref, None)
                if call is not None:  # else its actor was lost a moment ago
                    events += self._events_of(ref, call)
        elif not events:
            time.sleep(timeout)
        return events + self._exchange_beats()

    def measure(self, rows: Sequence[TrialRow], stopped: Callable[[], bool]) -> dict[str, Measured]:
        """What actors with nothing else to do find out of trials that have ended; those of a lost one are not there."""
        busy = {call.actor for call in self._calls.values()}
        idle = [actor for actor in self._nodes if actor not in busy]
        asked: dict[ray.ObjectRef[Any], list[TrialRow]] = {}
        measured: dict[str, Measured] = {}
        began = time.monotonic()
        shares = divide([self._scored_on.get(row.trial_id) for row in rows], idle)
        for actor, places in shares.items():
            for piece in _calls([rows[place] for place in places]):
                asked[self._handles[actor].measure.remote(piece)] = piece
        while asked and not stopped() and time.monotonic() - began < self._hang_seconds:
            done, _ = ray.wait(list(asked), num_returns=1, timeout=1.0)
            for ref in done:
                piece = asked.pop(ref)
                began = time.monotonic()
                with suppress(exceptions.RayError):
                    found = zip(piece, ray.get(ref), strict=True)
                    measured |= {row.trial_id: one for row, one in found if one is not None}
        return measured

    def moments(self) -> list[tuple[str, float]]:
        """When each actor's first fit and first step of training began, of those that answer at once."""
        asked = [self._handles[actor].moments.remote() for actor in self._nodes]
        answered = ray.wait(asked, num_returns=len(asked), timeout=_MOMENTS_SECONDS)[0] if asked else []
        found: list[tuple[str, float]] = []
        for ref in answered:
            with suppress(exceptions.RayError):
                found += ray.get(ref).items()
        return found

    def take_commits(self) -> list[ShardCommit]:
        """What the shards scored since the last call left behind."""
        commits, self._commits = self._commits, []
        return commits

    def _events_of(self, ref: ray.ObjectRef[Any], call: _Call) -> list[Event]:
        actor, left = call.actor, self._leaving.pop(ref, None)
        try:
            value = ray.get(ref)
        except exceptions.RayError as error:  # dead, or out of reach: the call may or may not have run
            failure = death(
                error,
                starting=not call.work,
                grew_most=blame(actor, self._growth_beside(actor)),
                leaving=actor in self._drained,
            )
            if not call.work and (node := node_of(self._handles[actor])) is not None:
                self._bad_nodes.add(node)
            self.stop(actor)
            return [Lost(actor=actor, failure=failure)]
        self._watch.idle(actor)
        self._clock.end(actor, time.monotonic())
        waiting = next((other for other in self._calls.values() if other.actor == actor), None)
        if waiting is not None:
            self._turn_to(actor, waiting)
        if not call.work:
            self._nodes[actor] = value
            self._bad_nodes.discard(value)
            return [ActorReady(actor=actor)]
        values = value if isinstance(value, list) else [value]
        return [self._event(actor, work, value, left) for work, value in zip(call.work, values, strict=True)]

    def _event(self, actor: int, work: Work, value: Any, left: ray.ObjectRef[Any] | None) -> Event:
        if isinstance(value, Failure):
            return Failed(actor=actor, work=work, failure=value)
        if isinstance(value, Missing):
            for part in value.parts:
                self._drop(part)
            return Missed(actor=actor, work=work, parts=value.parts)
        match work:
            case Prepare(data_key=data_key):
                self._keep(work, left)
                num_batches, num_train_batches, plan, rounds = value
                return Prepared(
                    actor=actor,
                    data_key=data_key,
                    num_batches=num_batches,
                    num_train_batches=num_train_batches,
                    plan=plan,
                    rounds=rounds,
                )
            case Features():
                self._keep(work, left)
                return Featured(actor=actor, work=work)
            case Fit():
                failures = {one: outcome for one, outcome in value.items() if isinstance(outcome, Failure)}
                metas = {one: outcome for one, outcome in value.items() if one not in failures}
                return Fitted(actor=actor, work=work, failures=failures, metas=metas)
            case Shard(trial_id=trial_id):
                self._scored_on[trial_id] = actor
                self._commits.append(value)
                return Scored(actor=actor, shard=work)

    def _keep(self, part: Prepare | Features, left: ray.ObjectRef[Any] | None) -> None:
        assert left is not None
        (key,) = part.makes
        self._held.setdefault(key, {})[part] = left

    def _drop(self, part: Part) -> None:
        """It is lost; whoever reads its artefact is told anew where it lies."""
        for key in part.makes:
            self._held.get(key, {}).pop(part, None)
            self._told -= {(actor, key) for actor in self._handles}

    def _overdue(self) -> list[Event]:
        now = time.monotonic()
        events: list[Event] = []
        for actor in self._watch.hung(now):
            message = f"made no progress for {self._hang_seconds:g} s"
            events.append(Lost(actor=actor, failure=Failure(kind=FailureKind.HUNG, message=message)))
        for actor in self._clock.over(now):
            assert self._trial_seconds is not None
            message = f"took longer than {self._trial_seconds / 60:g} minutes"
            events.append(Lost(actor=actor, failure=Failure(kind=FailureKind.TIMEOUT, message=message)))
        for event in events:
            self.stop(event.actor)
        return events

    def at_work(self) -> list[tuple[int, TrainingStep | None]]:
        """The actors that have work, and what they said last of how far a fit has got."""
        actors = {call.actor for call in self._calls.values() if call.work}
        return [(actor, self._doing.get(actor)) for actor in sorted(actors)]

    def _exchange_beats(self) -> list[Event]:
        """Ask every actor at work for a sign of life, take what has come in, and look which nodes are to go."""
        now = time.monotonic()
        if now - self._last_beat < min(_BEAT_SECONDS, self._hang_seconds / 4):
            return []
        self._last_beat = now
        if self._beats:
            answered, _ = ray.wait(list(self._beats), num_returns=len(self._beats), timeout=0)
            for ref in answered:
                actor = self._beats.pop(ref)
                try:
                    cpu_seconds, held_bytes, waits, self._doing[actor] = ray.get(ref)
                except exceptions.RayError:
                    continue  # its death is told by its own call
                self._watch.beat(actor, cpu_seconds, now, waits=waits)
                self._memory[actor] = (self._memory.get(actor, (held_bytes, 0))[0], held_bytes)
        asked = set(self._beats.values())
        for actor in {call.actor for call in self._calls.values() if call.work} - asked:
            self._beats[self._handles[actor].beat.remote()] = actor
        going = draining_nodes()
        leaving = {actor for actor, node in self._nodes.items() if node in going} - self._drained
        self._drained |= leaving
        for actor in leaving:
            self._handles[actor].leave.remote()
        return [Draining(actor=actor) for actor in sorted(leaving)]

    def _growth_beside(self, actor: int) -> dict[int, int]:
        """Bytes that each actor of the same node has taken since its work began."""
        node = self._nodes.get(actor)
        return {
            other: held - before for other, (before, held) in self._memory.items() if self._nodes.get(other) == node
        }

    def _forget(self, actor: int) -> None:
        now = time.monotonic()
        calls = {ref for ref, call in self._calls.items() if call.actor == actor}
        self._calls = {ref: call for ref, call in self._calls.items() if ref not in calls}
        self._leaving = {ref: left for ref, left in self._leaving.items() if ref not in calls}
        self._beats = {ref: other for ref, other in self._beats.items() if other != actor}
        self._told = {(other, key) for other, key in self._told if other != actor}
        self._watch.idle(actor)
        self._clock.lost(actor, now)
        self._due.pop(actor, None)
        self._memory.pop(actor, None)
        self._drained.discard(actor)
        if self._nodes.pop(actor, None) is not None and not self._nodes:
            self._none_since = now


def _calls(rows: list[TrialRow]) -> list[list[TrialRow]]:
    """The trials of each call that measures: more of them where they have few records."""
    calls: list[list[TrialRow]] = []
    records = 0
    for row in rows:
        least, most = _TRIALS_A_CALL
        if not calls or (len(calls[-1]) >= least and (len(calls[-1]) == most or records > _RECORDS_A_CALL)):
            calls.append([])
            records = 0
        calls[-1].append(row)
        records += row.num_examples
    return calls
