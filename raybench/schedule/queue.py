"""The queue of a run: which actor does what next, and when a trial has ended.

    queue = Queue(trials, num_actors=2, shard_batches=4)
    actions = queue.start()
    while not queue.done:
        actions = queue.step(event)

An idle actor takes, in this order: rows to prepare, features that several trials read, shards of the trial it
holds, the costliest fit, shards of the trial that has most left. When no more fits are left than there are actors they
go before shards: a fit cannot be divided, so the last one must not begin last. Some shards more of the same trial are
sent ahead while one is being scored (`ahead`: one, or as many as are done in a moment), so that an actor never waits
for the driver; a fit is never queued behind anything.

Actors that die before they are ready are started again, later each time; only when none is ready and several in a row
have died does the run end. An actor on a node that is about to go gets nothing new.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from raybench.core import Shard, Status
from raybench.schedule.feature_groups import FeatureGroups
from raybench.schedule.retry import NOT_CHARGED, Failure, FailureKind, decide
from raybench.schedule.shards import remaining_shards
from raybench.schedule.work import (
    Action,
    ActorReady,
    Draining,
    Event,
    Failed,
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

__all__ = ["Queue", "start_delay"]

_MAX_FAILED_STARTS = 5  # actors in a row that die before they are ready, and no other is: no actor can be had
_LONGEST_DELAY_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class _Actor:
    ready: bool = False
    draining: bool = False  # its node is about to go: it ends what it has
    in_flight: deque[Work] = field(default_factory=deque)  # in the order the actor does them
    trial_id: str | None = None  # whose model it holds


@dataclass(slots=True, kw_only=True)
class _Trial:
    work: TrialWork
    fitted: bool
    scored: tuple[tuple[int, int], ...] = ()  # batch ranges that an earlier run has scored
    pending: deque[Shard] = field(default_factory=deque)
    num_unscored: int = 0  # shards pending or in flight


class Queue:
    """State machine over trials, shards and actors; deterministic, no clock, no I/O."""

    def __init__(self, trials: Iterable[TrialWork], *, num_actors: int, shard_batches: int) -> None:
        self._shard_batches = shard_batches
        self._num_actors = num_actors
        self._trials = {
            work.trial_id: _Trial(work=work, fitted=not work.needs_fit) for work in trials
        }  # those not ended yet
        self._to_prepare = deque(dict.fromkeys(trial.work.data_key for trial in self._trials.values()))
        self._num_batches: dict[str, int] = {}
        self._features = FeatureGroups(num_actors)
        self._waiting: list[tuple[str, ...]] = []  # bundles, or a fitted trial, whose features are not all there
        self._to_fit: list[Fit] = []
        self._scoring: dict[str, _Trial] = {}  # those with pending shards
        self._actors: dict[int, _Actor] = {}
        self._next_actor = 0
        self._failed_starts = 0
        self._attempts: dict[Work, int] = {}
        self._avoid: dict[Work, int] = {}  # the actor on which the work failed last
        self._preempted: set[str] = set()  # trials whose work was lost with its node
        self.ahead = 1  # shards given to an actor beside the one it scores; whoever knows the time may change it

    @property
    def done(self) -> bool:
        """Whether every trial has ended."""
        return not self._trials

    def in_flight(self, actor: int) -> tuple[Work, ...]:
        """What an actor has been given and not returned, in the order it does them."""
        return tuple(self._actors[actor].in_flight) if actor in self._actors else ()

    def start(self) -> list[Action]:
        """The first actions."""
        return [] if self.done else [self._start_actor() for _ in range(self._num_actors)]

    def step(self, event: Event) -> list[Action]:
        """Take in what happened; return what to do."""
        if event.actor not in self._actors:
            return []  # word of an actor that was given up: its work was given to another
        actions: list[Action] = []
        match event:
            case ActorReady(actor=actor):
                self._actors[actor].ready = True
                self._failed_starts = 0
            case Prepared(actor=actor, data_key=data_key):
                self._take(actor, Prepare(data_key=data_key))
                self._on_prepared(event, actions)
            case Featured(actor=actor, work=work):
                self._take(actor, work)
                self._on_features(work, actions)
            case Fitted(actor=actor, work=work, failures=failures):
                self._take(actor, work)
                for trial_id in work.trial_ids:
                    if trial_id in failures:
                        self._on_failure(Fit(trial_ids=(trial_id,)), actor, failures[trial_id], actions)
                    elif trial_id in self._trials:
                        self._actors[actor].trial_id = trial_id
                        self._trials[trial_id].fitted = True
                        self._want_test_features(self._trials[trial_id])
                        self._waiting.append((trial_id,))
                self._release(actions)
            case Scored(actor=actor, shard=shard):
                self._take(actor, shard)
                self._on_scored(shard, actions)
            case Failed(actor=actor, work=work, failure=failure):
                self._take(actor, work)
                self._on_failure(work, actor, failure, actions)
                if failure.poisons_actor:
                    actions.append(StopActor(actor=actor))
                    self._replace(actor, actions)
            case Draining(actor=actor):
                self._actors[actor].draining = True
            case Lost(actor=actor, failure=failure):
                self._on_lost(actor, failure, actions)
        self._leave_drained(actions)
        self._send(actions)
        self._stop_when_done(actions)
        return actions

    def give_up(self, reason: str) -> list[Action]:
        """No actor can be had: every trial that is left ends, and may be tried by the next run."""
        actions: list[Action] = []
        for trial_id in list(self._trials):
            status = Status.PREEMPTED if trial_id in self._preempted else Status.FAILED
            self._finish(trial_id, status, reason, actions)
        self._stop_when_done(actions)
        return actions

    def _stop_when_done(self, actions: list[Action]) -> None:
        if self.done:
            actions += [StopActor(actor=actor) for actor in self._actors]
            self._actors.clear()

    # What happened

    def _take(self, actor: int, work: Work) -> None:
        self._actors[actor].in_flight.remove(work)

    def _on_prepared(self, event: Prepared, actions: list[Action]) -> None:
        self._num_batches[event.data_key] = event.num_batches
        together: dict[str, list[str]] = {}
        for trial_id, trial in self._trials.items():
            if trial.work.data_key == event.data_key:
                trial.scored = event.scored.get(trial_id, ())
                together.setdefault(trial_id if trial.fitted else trial.work.bundle, []).append(trial_id)
                if not trial.fitted and trial.work.train_features:
                    self._features.add(trial.work.train_features, event.num_train_batches)
                if trial.fitted:
                    self._want_test_features(trial)
        self._waiting += [tuple(trial_ids) for trial_ids in together.values()]
        self._release(actions)

    def _want_test_features(self, trial: _Trial) -> None:
        """Only when something can be scored: until then they would keep the costliest fit waiting."""
        if trial.work.test_features:
            self._features.add(trial.work.test_features, self._num_batches[trial.work.data_key])

    def _on_features(self, part: Features, actions: list[Action]) -> None:
        self._features.take(part)
        if self._features.complete([part.group]):
            self._release(actions)

    def _release(self, actions: list[Action]) -> None:
        """Fit or score those whose features are all there."""
        waiting, self._waiting = self._waiting, []
        for trial_ids in waiting:
            alive = [self._trials[trial_id] for trial_id in trial_ids if trial_id in self._trials]
            if not all(self._features.complete(_awaited(trial)) for trial in alive):
                self._waiting.append(trial_ids)
            elif alive and alive[0].fitted:
                self._open_scoring(alive[0], actions)
            elif alive:
                self._to_fit.append(Fit(trial_ids=tuple(trial.work.trial_id for trial in alive)))
        self._to_fit.sort(key=self._fit_cost, reverse=True)

    def _fit_cost(self, fit: Fit) -> float:
        return sum(self._trials[trial_id].work.cost for trial_id in fit.trial_ids if trial_id in self._trials)

    def _open_scoring(self, trial: _Trial, actions: list[Action]) -> None:
        work = trial.work
        num_batches = self._num_batches[work.data_key]
        trial.pending.extend(remaining_shards(work.trial_id, num_batches, trial.scored, self._shard_batches))
        trial.num_unscored = len(trial.pending)
        if trial.pending:
            self._scoring[work.trial_id] = trial
        else:
            self._finish(work.trial_id, Status.OK, None, actions)

    def _on_scored(self, shard: Shard, actions: list[Action]) -> None:
        trial = self._trials.get(shard.trial_id)
        if trial is None:
            return
        trial.num_unscored -= 1
        if trial.num_unscored == 0:
            self._finish(shard.trial_id, Status.OK, None, actions)

    def _on_lost(self, actor: int, failure: Failure, actions: list[Action]) -> None:
        lost = self._actors[actor]
        executing, waiting = (lost.in_flight[0], list(lost.in_flight)[1:]) if lost.in_flight else (None, [])
        lost.in_flight.clear()
        if lost.ready:
            self._failed_starts = 0  # whatever failed before, an actor could be had
        elif failure.kind is not FailureKind.PREEMPTED:
            self._failed_starts += 1
        for work in reversed(waiting):  # it had not begun: not its fault
            self._requeue(work)
        if executing is not None:
            self._on_failure(executing, actor, failure, actions)
        none_ready = not any(other.ready for number, other in self._actors.items() if number != actor)
        if self._failed_starts >= _MAX_FAILED_STARTS and none_ready:
            reason = f"{self._failed_starts} actors in a row died while starting: {failure.message}"
            actions += self.give_up(reason)
        elif failure.kind in (FailureKind.HOST_OOM, FailureKind.BYSTANDER) and len(self._actors) > 1:
            del self._actors[actor]  # fewer at a time need less of the node's memory
        else:
            self._replace(actor, actions)

    def _on_failure(self, work: Work, actor: int, failure: Failure, actions: list[Action]) -> None:
        if failure.kind is FailureKind.PREEMPTED:
            self._preempted.update(self._trials_of(work))
        if failure.kind not in NOT_CHARGED:
            self._attempts[work] = self._attempts.get(work, 0) + 1
        attempts = self._attempts.get(work, 0)
        status = decide(failure, attempts)
        if status is None:
            self._avoid[work] = actor
            self._requeue(work, together=failure.kind in NOT_CHARGED)
            return
        if isinstance(work, Features):  # those who read it compute it themselves, and say what is wrong
            self._on_features(work, actions)
            return
        if isinstance(work, Fit) and len(work.trial_ids) > 1:  # find out which of the bundle it was
            for trial_id in reversed(work.trial_ids):
                self._requeue(Fit(trial_ids=(trial_id,)))
            return
        tries = f" ({attempts} attempts)" if attempts > 1 else ""
        for trial_id in self._trials_of(work):
            self._finish(trial_id, status, f"{failure.message}{tries}", actions)

    def _trials_of(self, work: Work) -> list[str]:
        match work:
            case Fit(trial_ids=trial_ids):
                return [trial_id for trial_id in trial_ids if trial_id in self._trials]
            case Shard(trial_id=trial_id):
                return [trial_id] if trial_id in self._trials else []
            case Prepare(data_key=data_key):
                return [trial_id for trial_id, trial in self._trials.items() if trial.work.data_key == data_key]
            case Features():
                return []

    def _requeue(self, work: Work, *, together: bool = False) -> None:
        match work:
            case Prepare(data_key=data_key):
                self._to_prepare.appendleft(data_key)
            case Features():
                self._features.put_back(work)
            case Fit(trial_ids=trial_ids):
                alive = tuple(trial_id for trial_id in trial_ids if trial_id in self._trials)
                if together and alive:
                    self._to_fit.insert(0, Fit(trial_ids=alive))
                else:  # one of them may have ended the actor: each on its own from now on
                    self._to_fit[:0] = [Fit(trial_ids=(trial_id,)) for trial_id in alive]
            case Shard(trial_id=trial_id):
                if trial_id in self._trials:
                    self._trials[trial_id].pending.appendleft(work)
                    self._scoring[trial_id] = self._trials[trial_id]

    def _finish(self, trial_id: str, status: Status, reason: str | None, actions: list[Action]) -> None:
        del self._trials[trial_id]
        self._scoring.pop(trial_id, None)
        fits = [tuple(name for name in fit.trial_ids if name in self._trials) for fit in self._to_fit]
        self._to_fit = [Fit(trial_ids=trial_ids) for trial_ids in fits if trial_ids]
        actions.append(Finish(trial_id=trial_id, status=status, reason=reason))

    # What to do

    def _start_actor(self) -> StartActor:
        actor = self._next_actor
        self._next_actor += 1
        self._actors[actor] = _Actor()
        return StartActor(actor=actor, delay_seconds=start_delay(self._failed_starts))

    def _replace(self, actor: int, actions: list[Action]) -> None:
        gone = self._actors.pop(actor, None)
        for work in reversed(gone.in_flight if gone is not None else ()):
            self._requeue(work)
        if not self.done:
            actions.append(self._start_actor())

    def _leave_drained(self, actions: list[Action]) -> None:
        """Start others in place of those that have ended what they had."""
        for number in [number for number, one in self._actors.items() if one.draining and not one.in_flight]:
            actions.append(StopActor(actor=number))
            self._replace(number, actions)

    def _send(self, actions: list[Action]) -> None:
        for number, actor in self._actors.items():
            if not actor.ready or actor.draining:
                continue
            while (work := self._next_work(number, actor)) is not None:
                actor.in_flight.append(work)
                if isinstance(work, Shard):
                    actor.trial_id = work.trial_id
                actions.append(Send(actor=number, work=work))

    def _next_work(self, number: int, actor: _Actor) -> Work | None:
        if not actor.in_flight:
            if self._to_prepare:
                return Prepare(data_key=self._to_prepare.popleft())
            if self._features:
                return self._features.pop()
            held = self._scoring.get(actor.trial_id) if actor.trial_id is not None else None
            fit = next((fit for fit in self._to_fit if self._may_run(fit, number)), None)
            if fit is not None and (held is None or len(self._to_fit) <= len(self._actors)):
                self._to_fit.remove(fit)
                return fit
            if held is not None:
                return self._pop_shard(held, number)
            most = max(self._scoring.values(), key=lambda trial: len(trial.pending), default=None)
            return self._pop_shard(most, number) if most is not None else None
        last = actor.in_flight[-1]
        if len(actor.in_flight) <= self.ahead and isinstance(last, Shard):
            held = self._scoring.get(last.trial_id)
            # near the end the rest is left to those who have less to do
            if held is not None and len(held.pending) >= len(self._actors) * len(actor.in_flight):
                return self._pop_shard(held, number)
        return None

    def _may_run(self, work: Work, actor: int) -> bool:
        """Not where it failed last, if there is another actor: one that is up, for the rest may never come."""
        others = (other for number, other in self._actors.items() if number != actor)
        return self._avoid.get(work) != actor or not any(other.ready and not other.draining for other in others)

    def _pop_shard(self, trial: _Trial, actor: int) -> Shard | None:
        shard = trial.pending.popleft()
        if not self._may_run(shard, actor) and trial.pending:
            other = trial.pending.popleft()
            trial.pending.appendleft(shard)
            shard = other
        if not trial.pending:
            del self._scoring[trial.work.trial_id]
        return shard


def start_delay(failed_starts: int) -> float:
    """Seconds to wait before the next start: none after a good one, then 1, 2, 4, … up to a minute."""
    return min(2.0 ** (failed_starts - 1), _LONGEST_DELAY_SECONDS) if failed_starts else 0.0


def _awaited(trial: _Trial) -> tuple[str, ...]:
    """The features that must be there before its fit, or before its scoring where it is fitted."""
    group = trial.work.test_features if trial.fitted else trial.work.train_features
    return (group,) if group else ()
