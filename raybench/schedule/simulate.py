"""A run under a simulated clock: the queue and its rules for retrying, with seconds for what work takes.

    run = simulate(works, pace, num_actors=1000, shard_batches=4, preempted_per_hour=0.02, seed=0)
    run.makespan, run.utilisation, run.lost_seconds

The queue is the one that drives real actors; only what answers it is made up. Actors are taken away at random times
drawn from the seed, as spot nodes are: what was in flight is lost, but for the epochs of a fit that were written, and
another actor comes after a while. The driver takes events one after the other. No clock, no I/O.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from raybench.core import Shard, Status
from raybench.schedule.bundles import distinct_steps
from raybench.schedule.pace import Pace
from raybench.schedule.queue import Queue
from raybench.schedule.retry import Failure, FailureKind
from raybench.schedule.shards import AHEAD_SECONDS, shards_ahead
from raybench.schedule.work import (
    Action,
    ActorReady,
    Event,
    Featured,
    Features,
    Finish,
    Fit,
    Fitted,
    Lost,
    Prepare,
    Prepared,
    Scored,
    Send,
    StartActor,
    StopActor,
    TrialWork,
    Work,
)

__all__ = ["Simulated", "simulate"]

_TAKEN_AWAY = Failure(kind=FailureKind.PREEMPTED, message="its node was taken away")


class Simulated(NamedTuple):
    """How a simulated run went; seconds of actors are added up over all of them."""

    makespan: float  # from the first actor's start to the last trial's end
    num_actors: int
    busy_seconds: float  # of work that counted
    lost_seconds: float  # of work that was done for nothing
    num_preempted: int  # actors that were taken away
    ended: dict[str, Status]
    ended_at: dict[str, float]  # seconds after the first actor's start

    @property
    def utilisation(self) -> float:
        """The share of all actors' time that went into work that counted."""
        return self.busy_seconds / (self.makespan * self.num_actors) if self.makespan else 1.0


@dataclass(slots=True)
class _Actor:
    in_flight: deque[Work] = field(default_factory=deque)
    began: float = 0.0  # with the first of these
    trial_id: str | None = None  # whose model it has opened to score


def simulate(
    trials: Iterable[TrialWork],
    pace: Pace,
    *,
    num_actors: int,
    shard_batches: int,
    preempted_per_hour: float = 0.0,
    again_seconds: float = 0.0,
    checkpoint_seconds: float = 30.0,
    seed: int = 0,
) -> Simulated:
    """Run the queue to its end.

    `preempted_per_hour` is the share of actors that an hour takes away, `again_seconds` how long it then takes until
    another one starts; a fit's state is written at steps, at most every `checkpoint_seconds`.
    """
    works = list(trials)
    run = _Run(works, pace, random.Random(seed), preempted_per_hour / 3600, again_seconds, checkpoint_seconds)
    return run.until_done(Queue(works, num_actors=num_actors, shard_batches=shard_batches), num_actors)


class _Run:
    def __init__(
        self,
        works: list[TrialWork],
        pace: Pace,
        rng: random.Random,
        preempted_per_second: float,
        again_seconds: float,
        checkpoint_seconds: float,
    ) -> None:
        self._fits = {work.checkpoint: work for work in works}  # by any of those that read a checkpoint
        self._pace, self._rng = pace, rng
        self._preempted_per_second, self._again_seconds = preempted_per_second, again_seconds
        self._checkpoint_seconds = checkpoint_seconds
        self._actors: dict[int, _Actor] = {}
        self._times: list[tuple[float, int, int, str]] = []  # when, in which order, to which actor, what
        self._num_times = 0
        self._kept: dict[str, None] = {}  # steps of fits that are written
        self._ended: dict[str, Status] = {}
        self._ended_at: dict[str, float] = {}
        self._busy_seconds = self._lost_seconds = 0.0
        self._num_preempted = 0
        self._shard_seconds = AHEAD_SECONDS

    def until_done(self, queue: Queue, num_actors: int) -> Simulated:
        now = 0.0
        self._act(queue.start(), now)
        while not queue.done:
            when, _, number, what = heapq.heappop(self._times)
            if number not in self._actors:
                continue  # of an actor that is gone
            event = self._event(number, what, when)
            now = max(now, when) + self._pace.answer
            self._act(queue.step(event), now)
            queue.ahead = shards_ahead(self._shard_seconds)
        return Simulated(
            makespan=now,
            num_actors=num_actors,
            busy_seconds=self._busy_seconds,
            lost_seconds=self._lost_seconds,
            num_preempted=self._num_preempted,
            ended=self._ended,
            ended_at=self._ended_at,
        )

    def _at(self, when: float, number: int, what: str) -> None:
        self._num_times += 1
        heapq.heappush(self._times, (when, self._num_times, number, what))

    def _act(self, actions: list[Action], now: float) -> None:
        for action in actions:
            match action:
                case StartActor(actor=number, delay_seconds=delay_seconds):
                    self._actors[number] = _Actor()
                    again = self._again_seconds if self._num_preempted else 0.0
                    self._at(now + delay_seconds + again + self._pace.start, number, "ready")
                case StopActor(actor=number):
                    self._actors.pop(number, None)
                case Send(actor=number, work=work):
                    actor = self._actors[number]
                    actor.in_flight.append(work)
                    if len(actor.in_flight) == 1:
                        self._begin(number, actor, now)
                case Finish(trial_id=trial_id, status=status):
                    self._ended[trial_id], self._ended_at[trial_id] = status, now

    def _begin(self, number: int, actor: _Actor, now: float) -> None:
        actor.began = now
        self._at(now + self._work_seconds(actor, actor.in_flight[0]), number, "done")

    def _work_seconds(self, actor: _Actor, work: Work) -> float:
        pace = self._pace
        match work:
            case Prepare(data_key=data_key):
                return pace.prepare.get(data_key, 0.0)
            case Features(group=group, start=start, stop=stop):
                return pace.features.get(group, 0.0) * (stop - start)
            case Fit(trial_ids=trial_ids):
                return pace.of_fit([self._fits[checkpoint] for checkpoint in trial_ids], self._kept)
            case Shard(trial_id=trial_id):
                opening = pace.open.get(trial_id, 0.0) if actor.trial_id != trial_id else 0.0
                return opening + pace.score.get(trial_id, 0.0) * work.num_batches

    def _event(self, number: int, what: str, now: float) -> Event:
        actor = self._actors[number]
        if what == "ready":
            if self._preempted_per_second:
                self._at(now + self._rng.expovariate(self._preempted_per_second), number, "taken away")
            return ActorReady(actor=number)
        if what == "taken away":
            return self._taken_away(number, actor, now)
        work = actor.in_flight.popleft()
        seconds = now - actor.began
        self._busy_seconds += seconds
        event = self._answer(number, actor, work, seconds)
        if actor.in_flight:
            self._begin(number, actor, now)
        return event

    def _taken_away(self, number: int, actor: _Actor, now: float) -> Lost:
        self._num_preempted += 1
        del self._actors[number]
        if actor.in_flight:
            done = now - actor.began
            kept = self._keep(actor.in_flight[0], done)
            self._busy_seconds += kept
            self._lost_seconds += done - kept
        return Lost(actor=number, failure=_TAKEN_AWAY)

    def _keep(self, work: Work, done: float) -> float:
        """The seconds of a fit whose steps are in the store when its actor goes after `done` of them."""
        if not isinstance(work, Fit):
            return 0.0
        steps = distinct_steps(self._fits[checkpoint] for checkpoint in work.trial_ids)
        kept, at, since = 0.0, 0.0, []
        for key in [key for key in steps if key not in self._kept]:
            at += self._pace.steps.get(key, 0.0)
            since.append(key)
            if at > done:
                break
            if at - kept >= self._checkpoint_seconds:
                self._kept |= dict.fromkeys(since)
                kept, since = at, []
        return kept

    def _answer(self, number: int, actor: _Actor, work: Work, seconds: float) -> Event:
        match work:
            case Prepare(data_key=data_key):
                test, train = self._pace.batches.get(data_key, (0, 0))
                return Prepared(actor=number, data_key=data_key, num_batches=test, num_train_batches=train)
            case Features():
                return Featured(actor=number, work=work)
            case Fit():
                actor.trial_id = None  # what was open made room
                return Fitted(actor=number, work=work)
            case Shard(trial_id=trial_id):
                actor.trial_id = trial_id
                self._shard_seconds += (seconds - self._shard_seconds) / 16
                return Scored(actor=number, shard=work)
