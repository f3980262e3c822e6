"""What is left to do of a run's trials, and what of it can begin: work that reads nothing that is missing.

    backlog = Backlog(trials, num_actors=2, shard_batches=4)
    backlog.pop_part()                          # rows to prepare, features to compute
    backlog.planned(event); backlog.pop_fit(may_run); backlog.fitted("trial-a")     # a bundle may be parted
    backlog.pop_shard("trial-a", may_run); backlog.scored(shard)
    backlog.open("trial-a", 1)                  # of a trial in a race, shards of the next round
    backlog.missed(part)                        # made again; what reads it waits
    backlog.end("trial-a")                      # the keys of rows and features that nobody reads any more

Who does it, and how often it is tried, is the queue's.
"""

from __future__ import annotations

import itertools
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from raybench.core import Shard
from raybench.schedule.artefacts import Artefact, Artefacts
from raybench.schedule.bundles import first_piece, fit_cost, longest_fit
from raybench.schedule.shards import feature_parts, head_parts, remaining_shards
from raybench.schedule.work import Features, Fit, Part, Prepare, Prepared, TrialWork, Work

__all__ = ["Backlog"]

# Of what is left, when a bundle is parted: with one, work that can begin only later comes too late, with more, more
# steps are done twice (`tests/bench/bench_simulate.py bound`, 500 bundles on 1,000 actors: 1.042 times the bound; 1.050
# with 2).
_PIECES_AN_ACTOR = 1.5


@dataclass(slots=True, kw_only=True)
class _Trial:
    work: TrialWork
    scored: tuple[tuple[int, int], ...] = ()  # batch ranges that an earlier run has scored
    pending: deque[Shard] = field(default_factory=deque)
    num_unscored: int = 0  # shards pending, held back or in flight
    held_back: deque[Shard] = field(default_factory=deque)  # of rounds that are not open yet
    round: int = 0  # the last one that is open


class Backlog:
    """The trials that have not ended, the artefacts that they read, and the work in the order in which it is taken."""

    def __init__(self, trials: Iterable[TrialWork], *, num_actors: int, shard_batches: int) -> None:
        self._num_actors, self._shard_batches = num_actors, shard_batches
        self.trials = {work.trial_id: _Trial(work=work) for work in trials}
        works = [trial.work for trial in self.trials.values()]
        self._artefacts = Artefacts({work.trial_id: (*work.fit_reads, *work.score_reads) for work in works})
        self._fitted_as = {work.checkpoint: work for work in reversed(works)}  # any of those that read a checkpoint
        self._readers: dict[str, list[str]] = {}
        for work in works:
            self._readers.setdefault(work.checkpoint, []).append(work.trial_id)
        self._num_batches: dict[str, tuple[int, int]] = {}  # data key → batches of its test and of its training rows
        self._rounds: dict[str, tuple[int, ...]] = {}  # data key → the batches with which rounds of its test rows end
        self._parts: deque[Part] = deque()  # of rows and features
        self._fits: list[Fit] = []  # that which cannot be parted further first, the costliest
        self._cost_left = _cost_of_fits(works)  # of those that no actor has begun
        self._ranks = _ranks(works)
        self._scoring: dict[str, _Trial] = {}  # those with pending shards
        self._waiting: dict[str, dict[Fit | str, None]] = {}  # key → fits, and trials to be scored, that want it
        for work in works:
            for key in (work.data_key, work.fit_rows):
                if key not in self._artefacts:
                    self._want(Artefact(key=key, parts=(Prepare(data_key=key),)))
            if work.checkpoint not in self._artefacts:
                fit = (Fit(trial_ids=(work.checkpoint,)),) if work.needs_fit else ()
                self._artefacts.want(Artefact(key=work.checkpoint, parts=fit, needs=work.fit_reads))

    @property
    def num_fits(self) -> int:
        """How many could begin."""
        return len(self._fits)

    def trials_of(self, work: Work) -> list[str]:
        """The trials that have not ended and would end with this work, if it cannot be done."""
        match work:
            case Fit(trial_ids=fits):
                return [trial_id for fit in fits for trial_id in self._readers[fit] if trial_id in self.trials]
            case Shard(trial_id=trial_id):
                return [trial_id] if trial_id in self.trials else []
            case Prepare(data_key=data_key):
                return [name for name, trial in self.trials.items() if self._ends_without(trial.work, data_key)]
            case Features():
                return []

    def reads(self, work: Work) -> tuple[str, ...]:
        """The keys of what a piece of work needs."""
        return self.trials[work.trial_id].work.score_reads if isinstance(work, Shard) else self._artefacts.needs(work)

    # What happened: each returns trials of which nothing is left

    def planned(self, event: Prepared) -> list[str]:
        """The batches of some rows are known, and with them what trials do with these rows."""
        if event.data_key in self._num_batches:
            return []  # they were lost and made again
        self._num_batches[event.data_key] = (event.num_batches, event.num_train_batches)
        self._rounds[event.data_key] = event.rounds
        bundles: dict[str, dict[str, None]] = {}
        waiting = itertools.chain.from_iterable(self._waiting.values())
        again = {one for fit in (*self._fits, *waiting) if isinstance(fit, Fit) for one in fit.trial_ids}
        over = []
        for trial_id in self.trials_of(Prepare(data_key=event.data_key)):
            trial = self.trials[trial_id]
            work, is_fitted = trial.work, self._artefacts.there((trial.work.checkpoint,))
            if work.fit_rows == event.data_key and not is_fitted:
                if work.checkpoint not in again:  # else it was lost before these rows were there
                    bundles.setdefault(work.bundle, {})[work.checkpoint] = None
                self._want_features(work.train_features, event.num_train_batches, event.data_key)
            if work.data_key == event.data_key:
                trial.scored = event.scored.get(trial_id, ())
                over += self._begin(trial_id) if is_fitted else []
        for trial_ids in map(tuple, bundles.values()):
            on_features = self._fitted_as[trial_ids[0]].is_head
            parts = head_parts(trial_ids, self._num_actors) if on_features else [tuple(trial_ids)]
            self._offer(*(Fit(trial_ids=part) for part in parts))
        return over

    def made(self, part: Prepare | Features) -> bool:
        """A part is there, or whoever reads it will do without; whether anybody will read it."""
        self._artefacts.made(part)
        (key,) = part.makes
        if self._artefacts.there([key]):
            self._offer(*self._waiting.pop(key, ()))
        return key in self._artefacts

    def fitted(self, checkpoint: str) -> list[str]:
        """A checkpoint is there: those who read it are scored, once their rows are there too."""
        fit = Fit(trial_ids=(checkpoint,))
        self._artefacts.made(fit)
        ready = [name for name in self.trials_of(fit) if self.trials[name].work.data_key in self._num_batches]
        return [over for trial_id in ready for over in self._begin(trial_id)]

    def _begin(self, trial_id: str) -> list[str]:
        """Rows and checkpoint are there. Features of test rows are wanted only now, or they would keep fits waiting."""
        trial = self.trials[trial_id]
        work, (num_batches, _) = trial.work, self._num_batches[trial.work.data_key]
        if trial.num_unscored == 0:  # else its checkpoint was lost and made again
            rounds = self._rounds[work.data_key] if work.raced else ()
            shards = remaining_shards(trial_id, num_batches, trial.scored, self._shard_batches, rounds)
            trial.held_back.extend(shards)
            trial.num_unscored = len(shards)
        if trial.num_unscored == 0:
            return [trial_id]
        self._want_features(work.features_to_score, num_batches, work.data_key)
        self._let_begin(trial)
        return []

    def open(self, trial_id: str, last_round: int) -> None:
        """Shards of a trial up to the end of this round can begin, now or once it is fitted."""
        if trial_id in self.trials:
            trial = self.trials[trial_id]
            trial.round = max(trial.round, last_round)
            self._let_begin(trial)

    def _let_begin(self, trial: _Trial) -> None:
        rounds = self._rounds.get(trial.work.data_key, ()) if trial.work.raced else ()
        upto = rounds[trial.round] if rounds else None
        while trial.held_back and (upto is None or trial.held_back[0].stop <= upto):
            trial.pending.append(trial.held_back.popleft())
        self._offer(trial.work.trial_id)

    def scored(self, shard: Shard) -> list[str]:
        """A shard is in."""
        trial = self.trials.get(shard.trial_id)
        if trial is None:
            return []
        trial.num_unscored -= 1
        return [shard.trial_id] if trial.num_unscored == 0 else []

    def lost(self, part: Part) -> bool:
        """A part is not there any more: whether it is to be made again. What reads it waits from now on."""
        if not self._artefacts.lost(part):
            return False
        if isinstance(part, Fit):
            work = self._fitted_as[part.trial_ids[0]]
            if work.fit_rows in self._num_batches:  # else they are wanted when these rows are there
                self._want_features(work.train_features, self._num_batches[work.fit_rows][1], work.fit_rows)
        self._offer_anew()
        return True

    def put_back(self, work: Work, *, together: bool = False) -> None:
        """Work is to be done again; a bundle trial by trial, unless `together`."""
        match work:
            case Prepare() | Features():
                self._parts.appendleft(work)
            case Fit(trial_ids=trial_ids):
                fits = [work] if together else [Fit(trial_ids=(trial_id,)) for trial_id in trial_ids]
                self._cost_left += sum(fit_cost(self._works(fit)) for fit in fits)
                self._offer(*fits)
            case Shard(trial_id=trial_id):
                if trial_id in self.trials:
                    self.trials[trial_id].pending.appendleft(work)
                    self._offer(trial_id)

    def end(self, trial_id: str) -> tuple[str, ...]:
        """A trial has ended: the keys of rows and features that nobody reads any more."""
        work = self.trials.pop(trial_id).work
        waits = not self._artefacts.there((work.checkpoint,))  # so its fit may be among those that can begin
        self._scoring.pop(trial_id, None)
        if waits:  # rows that could not be made again end all who read them
            self._fits = [fit for fit in self._fits if self.trials_of(fit)]
        return tuple(key for key in self._artefacts.end(trial_id) if key not in self._readers)

    # What can begin
    @property
    def ranked(self) -> bool:
        """Whether some trials are worth more than others."""
        return bool(self._ranks)

    def pop_part(self) -> Part | None:
        """Rows or features to make; never of what nobody reads any more, nor of what is worth less than a fit."""
        parts: Iterable[Part] = self._parts
        if self._ranks:
            first = self._turn(self._fits[0])[0] if self._fits else len(self._ranks)
            parts = sorted((one for one in parts if self._rank(one) <= first), key=self._rank)
        for part in parts:
            if part.makes[0] in self._artefacts and self._artefacts.there(self._artefacts.needs(part)):
                self._parts.remove(part)
                return part
        return None

    def pop_fit(self, may_run: Callable[[Work], bool]) -> Fit | None:
        """The costliest of those that may run, or a piece where it is more than an actor's share of what is left."""
        while (fit := next(filter(may_run, self._fits), None)) is not None:
            self._fits.remove(fit)
            if works := self._works(fit):  # else nobody reads it any more
                piece, rest = first_piece(works, self._cost_left / (_PIECES_AN_ACTOR * self._num_actors))
                self._cost_left = max(0.0, self._cost_left - fit_cost(works) + fit_cost(rest))
                self._offer(_fit_of(rest))
                return _fit_of(piece)
        return None

    def num_pending(self, trial_id: str | None) -> int:
        """How many shards of a trial can begin."""
        return len(self._scoring[trial_id].pending) if trial_id in self._scoring else 0

    def longest(self) -> str | None:
        """The trial that has most shards to begin, or the first of those that have a rank."""
        trial = max(
            self._scoring.values(), key=lambda trial: (-(trial.work.rank or 0), len(trial.pending)), default=None
        )
        return None if trial is None else trial.work.trial_id

    def pop_shard(self, trial_id: str, may_run: Callable[[Work], bool]) -> Shard:
        """The next shard of a trial that has some, or the one after it where that had better run elsewhere."""
        pending = self._scoring[trial_id].pending
        shard = pending.popleft()
        if pending and not may_run(shard):
            pending.appendleft(shard)
            shard = pending[1]
            del pending[1]
        if not pending:
            del self._scoring[trial_id]
        return shard

    def _want(self, artefact: Artefact) -> None:
        self._artefacts.want(artefact)
        self._parts.extend(artefact.parts)

    def _want_features(self, group: str | None, num_batches: int, data_key: str) -> None:
        if group is not None and group not in self._artefacts:
            parts = feature_parts(group, num_batches, self._num_actors)
            self._want(Artefact(key=group, parts=parts, needs=(data_key,)))

    def _offer(self, *works: Fit | str) -> None:
        """A fit, or a trial to score, can begin if all that it reads is there; what has ended is forgotten."""
        for work in works:
            if isinstance(work, Fit):
                self._offer_fit(Fit(trial_ids=tuple(fit for fit in work.trial_ids if self._is_read(fit))))
            elif work in self.trials and self.trials[work].pending:
                trial = self.trials[work]
                if (missing := self._artefacts.missing(trial.work.score_reads)) is None:
                    self._scoring[work] = trial
                else:
                    self._waiting.setdefault(missing, {})[work] = None

    def _offer_fit(self, fit: Fit) -> None:
        if not fit.trial_ids:
            return
        if (missing := self._artefacts.missing(self._artefacts.needs(fit))) is None:
            insort(self._fits, fit, key=self._turn)
        else:
            self._waiting.setdefault(missing, {})[fit] = None

    def _offer_anew(self) -> None:
        fits, self._fits = self._fits, []
        scoring, self._scoring = self._scoring, {}
        self._offer(*fits, *scoring)

    def _rank(self, part: Part) -> int:
        return self._ranks.get(part.makes[0], 0)

    def _turn(self, fit: Fit) -> tuple[int, float]:
        works = self._works(fit)
        return min(self._ranks.get(work.checkpoint, 0) for work in works), -longest_fit(works)

    def _works(self, fit: Fit) -> list[TrialWork]:
        """By one of the trials that read it, each of its checkpoints that is still read."""
        return [self._fitted_as[checkpoint] for checkpoint in fit.trial_ids if self._is_read(checkpoint)]

    def _is_read(self, checkpoint: str) -> bool:
        return any(trial_id in self.trials for trial_id in self._readers[checkpoint])

    def _ends_without(self, work: TrialWork, data_key: str) -> bool:
        """Whether a trial needs these rows: to be scored on, or to be fitted on if that is still to be done."""
        return work.data_key == data_key or (
            work.fit_rows == data_key and not self._artefacts.there((work.checkpoint,))
        )


def _fit_of(works: Iterable[TrialWork]) -> Fit:
    return Fit(trial_ids=tuple(work.checkpoint for work in works))


def _ranks(works: Iterable[TrialWork]) -> dict[str, int]:
    """By what is read, the lowest rank of a trial that reads it; empty where none has one."""
    ranks: dict[str, int] = {}
    for work in works:
        if work.rank is not None:
            for key in (*work.fit_reads, *work.score_reads):
                ranks[key] = min(work.rank, ranks.get(key, work.rank))
    return ranks


def _cost_of_fits(works: Iterable[TrialWork]) -> float:
    """Of all bundles, each fitted whole."""
    bundles: dict[str, list[TrialWork]] = {}
    for work in works:
        if work.needs_fit:
            bundles.setdefault(work.bundle, []).append(work)
    return sum(map(fit_cost, bundles.values()))
