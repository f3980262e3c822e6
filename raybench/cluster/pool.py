"""Actors and the calls in flight on them: actions become calls, what returns becomes events.

pool = Pool(start_worker)
pool.start(0); pool.send(0, [work], data_key); events = pool.wait(timeout=1.0)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray import exceptions

from raybench.cluster.context import FeaturePart
from raybench.core import Shard
from raybench.schedule.retry import Failure, FailureKind
from raybench.schedule.watch import Watch
from raybench.schedule.work import (
    ActorReady,
    Event,
    Failed,
    Featured,
    Features,
    Fit,
    Fitted,
    Lost,
    Prepare,
    Prepared,
    Scored,
    Work,
)
from raybench.store.shards import ShardCommit

__all__ = ["Pool"]

_BEAT_SECONDS = 5.0


@dataclass(slots=True)
class _Call:
    actor: int
    work: tuple[Work, ...]  # empty: the actor's start; several: shards of one trial
    sent: float


class Pool:
    """The run's actors, the calls in flight on them and the rows they prepared."""

    def __init__(
        self, start_worker: Callable[[int], Any], *, hang_seconds: float, trial_seconds: float | None = None
    ) -> None:
        self._start_worker = start_worker
        self._hang_seconds = hang_seconds
        self._trial_seconds = trial_seconds
        self._watch = Watch(hang_seconds=hang_seconds)
        self._handles: dict[int, Any] = {}
        self._calls: dict[ray.ObjectRef, _Call] = {}
        self._beats: dict[ray.ObjectRef, int] = {}
        self._last_beat = time.monotonic()
        self._prepared: dict[str, ray.ObjectRef] = {}
        self._leaving: dict[ray.ObjectRef, ray.ObjectRef] = {}  # call → the rows or features it will leave
        self._features: dict[str, list[FeaturePart]] = {}  # group → its parts
        self._told: set[tuple[int, str]] = set()  # actors that know where a group's parts are
        self._commits: list[ShardCommit] = []

    def start(self, actor: int) -> None:
        """Start an actor; ActorReady follows when it answers."""
        handle = self._start_worker(actor)
        self._handles[actor] = handle
        self._calls[handle.ready.remote()] = _Call(actor, (), time.monotonic())

    def send(self, actor: int, work: Sequence[Work], data_key: str, groups: Sequence[str] = ()) -> None:
        """Call the actor with a piece of work, or with several shards of one trial; it reads these features."""
        handle = self._handles[actor]
        unknown = {group: self._features.get(group, []) for group in groups if (actor, group) not in self._told}
        self._told |= {(actor, group) for group in unknown}
        match work[0]:
            case Prepare():
                rows, ref = handle.prepare.remote(data_key)
                self._leaving[ref] = rows
            case Features(group=group, start=start, stop=stop):
                part, ref = handle.features.remote(group, start, stop, [self._prepared[data_key]])
                self._leaving[ref] = part
            case Fit(trial_ids=trial_ids):
                ref = handle.fit.remote(trial_ids, [self._prepared[data_key]], unknown)
            case Shard(trial_id=trial_id):
                ranges = [(shard.start, shard.stop) for shard in work if isinstance(shard, Shard)]
                ref = handle.score.remote(trial_id, ranges, [self._prepared[data_key]], unknown)
        now = time.monotonic()
        if not any(call.actor == actor for call in self._calls.values()):
            self._watch.working(actor, now)
        self._calls[ref] = _Call(actor, tuple(work), now)

    def stop(self, actor: int) -> None:
        """Kill an actor; what was in flight on it is forgotten."""
        handle = self._handles.pop(actor, None)
        if handle is not None:
            ray.kill(handle, no_restart=True)
        self._forget(actor)

    def stop_all(self) -> None:
        """Kill every actor, so that their GPUs are free."""
        for actor in list(self._handles):
            self.stop(actor)

    def wait(self, timeout: float) -> list[Event]:
        """What happened, after at most `timeout` seconds of nothing."""
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
        self._exchange_beats()
        return events

    def take_commits(self) -> list[ShardCommit]:
        """What the shards scored since the last call left behind."""
        commits, self._commits = self._commits, []
        return commits

    def _events_of(self, ref: ray.ObjectRef, call: _Call) -> list[Event]:
        actor = call.actor
        try:
            value = ray.get(ref)
        except (exceptions.RayActorError, exceptions.OwnerDiedError) as error:
            self._handles.pop(actor, None)
            self._forget(actor)
            return [Lost(actor=actor, failure=_death(error))]
        except exceptions.RayError as error:  # the call could not be run or answered, the actor may be anywhere
            self.stop(actor)
            return [Lost(actor=actor, failure=Failure(kind=FailureKind.DIED, message=str(error).splitlines()[0]))]
        self._watch.idle(actor)
        if any(other.actor == actor for other in self._calls.values()):
            self._watch.working(actor, time.monotonic())
        if not call.work:
            return [ActorReady(actor=actor)]
        values = value if isinstance(value, list) else [value]
        return [self._event(actor, work, value, ref) for work, value in zip(call.work, values, strict=True)]

    def _event(self, actor: int, work: Work, value: Any, ref: ray.ObjectRef) -> Event:
        left = self._leaving.pop(ref, None)
        if isinstance(value, Failure):
            return Failed(actor=actor, work=work, failure=value)
        match work:
            case Prepare(data_key=data_key):
                assert left is not None
                self._prepared[data_key] = left
                num_batches, num_train_batches = value
                return Prepared(
                    actor=actor, data_key=data_key, num_batches=num_batches, num_train_batches=num_train_batches
                )
            case Features(group=group, start=start, stop=stop):
                assert left is not None
                self._features.setdefault(group, []).append((start, stop, [left]))
                return Featured(actor=actor, work=work)
            case Fit():
                return Fitted(actor=actor, work=work, failures=value)
            case Shard():
                self._commits.append(value)
                return Scored(actor=actor, shard=work)

    def _overdue(self) -> list[Event]:
        now = time.monotonic()
        events: list[Event] = []
        for actor in self._watch.hung(now):
            message = f"made no progress for {self._hang_seconds:g} s"
            events.append(Lost(actor=actor, failure=Failure(kind=FailureKind.HUNG, message=message)))
        if self._trial_seconds is not None:
            for call in self._calls.values():
                num_trials = max((len(work.trial_ids) for work in call.work if isinstance(work, Fit)), default=1)
                if call.work and now - call.sent > self._trial_seconds * num_trials:
                    message = f"took longer than {self._trial_seconds / 60:g} minutes"
                    events.append(Lost(actor=call.actor, failure=Failure(kind=FailureKind.TIMEOUT, message=message)))
        for event in events:
            self.stop(event.actor)
        return events

    def _exchange_beats(self) -> None:
        now = time.monotonic()
        if now - self._last_beat < min(_BEAT_SECONDS, self._hang_seconds / 4):
            return
        self._last_beat = now
        if self._beats:
            answered, _ = ray.wait(list(self._beats), num_returns=len(self._beats), timeout=0)
            for ref in answered:
                actor = self._beats.pop(ref)
                try:
                    cpu_seconds, _ = ray.get(ref)
                except exceptions.RayError:
                    continue  # its death is told by its own call
                self._watch.beat(actor, cpu_seconds, now)
        asked = set(self._beats.values())
        for actor in {call.actor for call in self._calls.values() if call.work} - asked:
            self._beats[self._handles[actor].beat.remote()] = actor

    def _forget(self, actor: int) -> None:
        self._calls = {ref: call for ref, call in self._calls.items() if call.actor != actor}
        self._beats = {ref: other for ref, other in self._beats.items() if other != actor}
        self._watch.idle(actor)


def _death(error: exceptions.RayError) -> Failure:
    """Why an actor ended, as far as Ray knows."""
    text = str(error)
    if getattr(error, "preempted", False):
        return Failure(kind=FailureKind.PREEMPTED, message="its node was taken away")
    # Ray's memory monitor gives advice on its threshold; the word OOM stands in every death's list of common causes.
    if isinstance(error, exceptions.OutOfMemoryError) or "RAY_memory_usage_threshold" in text:
        return Failure(kind=FailureKind.HOST_OOM, message="the node ran out of memory and ended the actor")
    return Failure(kind=FailureKind.DIED, message="its actor died while it ran", traceback=text)
