"""The queue of a run: which actor does what next, and when a trial has ended.

    queue = Queue(trials, num_actors=2, shard_batches=4)
    actions = queue.start()
    while not queue.done:
        actions = queue.step(event)

Of what can begin (`Backlog`) an idle actor takes, in this order: rows and features that others read, shards of the
trial it holds, the costliest fit, shards of the trial that has most left. When no more fits are left than there are
actors they go before shards: a fit cannot be divided, so the last one must not begin last. A bundle of several is
parted where one actor would do it while others wait (`bundles.py`). Some shards more of the same trial are sent ahead
while one is being scored (`ahead`: one, or as many as are done in a moment), so that an actor never waits for the
driver; a fit is never queued behind anything. Where trials have ranks time may run out, and what is fitted is scored
before another fit begins.

Actors that die before they are ready are started again, later each time; only when none is ready and several in a row
have died does the run end. An actor on a node that is about to go gets nothing new.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from raybench.core import Shard, Status
from raybench.schedule.backlog import Backlog
from raybench.schedule.retry import NOT_CHARGED, Failure, FailureKind, decide
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
    Missed,
    Part,
    Prepare,
    Prepared,
    Release,
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
_NO_CHECKPOINT = Failure(kind=FailureKind.TRANSIENT, message="its checkpoint is gone from the store")


@dataclass(slots=True, kw_only=True)
class _Actor:
    ready: bool = False
    in_flight: deque[Work] = field(default_factory=deque)  # in the order the actor does them
    trial_id: str | None = None  # whose model it holds


class Queue:
    """State machine over a backlog and actors; deterministic, no clock, no I/O."""

    def __init__(self, trials: Iterable[TrialWork], *, num_actors: int, shard_batches: int) -> None:
        self._backlog = Backlog(trials, num_actors=num_actors, shard_batches=shard_batches)
        self._num_actors = num_actors
        self._actors: dict[int, _Actor] = {}
        self._idle: dict[int, None] = {}  # that are ready and have nothing to do
        self._draining: dict[int, None] = {}  # whose node is about to go: they end what they have
        self._next_actor = 0
        self._failed_starts = 0
        self._attempts: dict[Work, int] = {}
        self._avoid: dict[Work, int] = {}  # the actor on which the work failed last
        self._preempted: set[str] = set()  # trials whose work was lost with its node
        self.ahead = 1  # shards given to an actor beside the one it scores; whoever knows the time may change it

    @property
    def done(self) -> bool:
        """Whether every trial has ended."""
        return not self._backlog.trials

    @property
    def left(self) -> tuple[str, ...]:
        """The trials that have not ended."""
        return tuple(self._backlog.trials)

    def in_flight(self, actor: int) -> tuple[Work, ...]:
        """What an actor has been given and not returned, in the order it does them."""
        return tuple(self._actors[actor].in_flight) if actor in self._actors else ()

    def trials_of(self, work: Work) -> list[str]:
        """The trials that have not ended and would end with a piece of work, if it cannot be done."""
        return self._backlog.trials_of(work)

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
                self._on_made(actor, Prepare(data_key=data_key), actions)
                self._end_well(self._backlog.planned(event), actions)
            case Featured(actor=actor, work=work):
                self._on_made(actor, work, actions)
            case Fitted(actor=actor, work=work, failures=failures):
                self._take(actor, work)
                for checkpoint in work.trial_ids:
                    readers = self._backlog.trials_of(Fit(trial_ids=(checkpoint,)))
                    if readers and checkpoint in failures:
                        self._on_failure(Fit(trial_ids=(checkpoint,)), actor, failures[checkpoint], actions)
                    elif readers:
                        self._actors[actor].trial_id = readers[0]
                        self._end_well(self._backlog.fitted(checkpoint), actions)
            case Scored(actor=actor, shard=shard):
                self._take(actor, shard)
                self._end_well(self._backlog.scored(shard), actions)
            case Failed(actor=actor, work=work, failure=failure):
                self._take(actor, work)
                self._on_failure(work, actor, failure, actions)
                if failure.poisons_actor:
                    actions.append(StopActor(actor=actor))
                    self._replace(actor, actions)
            case Missed(actor=actor, work=work, parts=parts):
                self._take(actor, work)
                for part in parts:
                    self._on_missed(part, actor, actions)
                self._backlog.put_back(work, together=True)
            case Draining(actor=actor):
                self._draining[actor] = None
            case Lost(actor=actor, failure=failure):
                self._on_lost(actor, failure, actions)
        self._leave_drained(actions)
        self._send(actions, event.actor)
        self._stop_when_done(actions)
        return actions

    def open(self, trial_ids: Iterable[str], last_round: int) -> list[Action]:
        """Trials in a race may be scored up to the end of this round."""
        for trial_id in trial_ids:
            self._backlog.open(trial_id, last_round)
        actions: list[Action] = []
        self._send(actions)
        return actions

    def stop(self, trial_ids: Iterable[str], reason: str) -> list[Action]:
        """These trials need not be scored to the end, or there is no time for them."""
        actions: list[Action] = []
        for trial_id in trial_ids:
            if trial_id in self._backlog.trials:
                self._finish(trial_id, Status.STOPPED, reason, actions)
        self._send(actions)
        self._stop_when_done(actions)
        return actions

    def give_up(self, reason: str) -> list[Action]:
        """No actor can be had: every trial that is left ends, and may be tried by the next run."""
        actions: list[Action] = []
        for trial_id in list(self._backlog.trials):
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

    def _on_made(self, actor: int, part: Prepare | Features, actions: list[Action]) -> None:
        self._take(actor, part)
        if not self._backlog.made(part):  # whoever would have read it has ended meanwhile
            actions.append(Release(keys=part.makes))

    def _on_missed(self, part: Part, actor: int, actions: list[Action]) -> None:
        if self._backlog.lost(part):
            if isinstance(part, Fit):  # a store that loses them again and again is not tried for ever
                self._on_failure(part, actor, _NO_CHECKPOINT, actions)
            else:
                self._backlog.put_back(part)

    def _on_lost(self, actor: int, failure: Failure, actions: list[Action]) -> None:
        lost = self._actors[actor]
        executing, waiting = (lost.in_flight[0], list(lost.in_flight)[1:]) if lost.in_flight else (None, [])
        lost.in_flight.clear()
        if lost.ready:
            self._failed_starts = 0  # whatever failed before, an actor could be had
        elif failure.kind is not FailureKind.PREEMPTED:
            self._failed_starts += 1
        for work in reversed(waiting):  # it had not begun: not its fault
            self._backlog.put_back(work)
        if executing is not None:
            self._on_failure(executing, actor, failure, actions)
        none_ready = not any(other.ready for number, other in self._actors.items() if number != actor)
        if self._failed_starts >= _MAX_FAILED_STARTS and none_ready:
            reason = f"{self._failed_starts} actors in a row died while starting: {failure.message}"
            actions += self.give_up(reason)
        elif failure.kind in (FailureKind.HOST_OOM, FailureKind.BYSTANDER) and len(self._actors) > 1:
            self._forget(actor)  # fewer at a time need less of the node's memory
        else:
            self._replace(actor, actions)

    def _on_failure(self, work: Work, actor: int, failure: Failure, actions: list[Action]) -> None:
        if failure.kind is FailureKind.PREEMPTED:
            self._preempted.update(self._backlog.trials_of(work))
        if failure.kind not in NOT_CHARGED:
            self._attempts[work] = self._attempts.get(work, 0) + 1
        attempts = self._attempts.get(work, 0)
        status = decide(failure, attempts)
        if status is None:
            self._avoid[work] = actor
            self._backlog.put_back(work, together=failure.kind in NOT_CHARGED)
            return
        if isinstance(work, Features):  # those who read it compute it themselves, and say what is wrong
            self._backlog.made(work)
            return
        if isinstance(work, Fit) and len(work.trial_ids) > 1:  # find out which of the bundle it was
            self._backlog.put_back(work)
            return
        tries = f" ({attempts} attempts)" if attempts > 1 else ""
        for trial_id in self._backlog.trials_of(work):
            self._finish(trial_id, status, f"{failure.message}{tries}", actions)

    def _end_well(self, trial_ids: Iterable[str], actions: list[Action]) -> None:
        for trial_id in trial_ids:
            self._finish(trial_id, Status.OK, None, actions)

    def _finish(self, trial_id: str, status: Status, reason: str | None, actions: list[Action]) -> None:
        actions.append(Finish(trial_id=trial_id, status=status, reason=reason))
        if unread := self._backlog.end(trial_id):
            actions.append(Release(keys=unread))

    # What to do

    def _start_actor(self) -> StartActor:
        actor = self._next_actor
        self._next_actor += 1
        self._actors[actor] = _Actor()
        return StartActor(actor=actor, delay_seconds=start_delay(self._failed_starts))

    def _replace(self, actor: int, actions: list[Action]) -> None:
        gone = self._forget(actor)
        for work in reversed(gone.in_flight if gone is not None else ()):
            self._backlog.put_back(work)
        if not self.done:
            actions.append(self._start_actor())

    def _leave_drained(self, actions: list[Action]) -> None:
        """Start others in place of those that have ended what they had."""
        for number in [number for number in self._draining if not self._actors[number].in_flight]:
            actions.append(StopActor(actor=number))
            self._replace(number, actions)

    def _forget(self, actor: int) -> _Actor | None:
        self._idle.pop(actor, None)
        self._draining.pop(actor, None)
        return self._actors.pop(actor, None)

    def _send(self, actions: list[Action], *answered: int) -> None:
        """To the actor that has answered, and to those that are idle until there is nothing for one of them."""
        for number in dict.fromkeys((*answered, *self._idle)):
            actor = self._actors.get(number)
            if actor is None or not actor.ready or number in self._draining:
                continue
            self._idle.pop(number, None)
            while (work := self._next_work(number, actor)) is not None:
                actor.in_flight.append(work)
                if isinstance(work, Shard):
                    actor.trial_id = work.trial_id
                actions.append(Send(actor=number, work=work, reads=self._backlog.reads(work)))
            if not actor.in_flight:
                self._idle[number] = None
                if number not in self._avoid.values():  # what there is none for it there is for no other
                    break

    def _next_work(self, number: int, actor: _Actor) -> Work | None:
        if actor.in_flight:
            return self._next_ahead(number, actor.in_flight)
        backlog, may_run = self._backlog, partial(self._may_run, number)
        if (part := backlog.pop_part()) is not None:
            return part
        held = actor.trial_id if backlog.num_pending(actor.trial_id) else None
        if backlog.ranked and held is None:
            held = backlog.longest()
        fits_first = held is None or (backlog.num_fits <= len(self._actors) and not backlog.ranked)
        if fits_first and (fit := backlog.pop_fit(may_run)) is not None:
            return fit
        trial_id = held or backlog.longest()
        return None if trial_id is None else backlog.pop_shard(trial_id, may_run)

    def _next_ahead(self, number: int, in_flight: deque[Work]) -> Shard | None:
        """Another shard of the trial that it scores; near the end the rest is left to those who have less to do."""
        last = in_flight[-1]
        if not isinstance(last, Shard) or len(in_flight) > self.ahead:
            return None
        many = self._backlog.num_pending(last.trial_id) >= len(self._actors) * len(in_flight)
        return self._backlog.pop_shard(last.trial_id, partial(self._may_run, number)) if many else None

    def _may_run(self, actor: int, work: Work) -> bool:
        """Not where it failed last, if there is another actor: one that is up, for the rest may never come."""
        if self._avoid.get(work) != actor:
            return True
        others = ((number, other) for number, other in self._actors.items() if number != actor)
        return not any(other.ready and number not in self._draining for number, other in others)


def start_delay(failed_starts: int) -> float:
    """Seconds to wait before the next start: none after a good one, then 1, 2, 4, … up to a minute."""
    return min(2.0 ** (failed_starts - 1), _LONGEST_DELAY_SECONDS) if failed_starts else 0.0
