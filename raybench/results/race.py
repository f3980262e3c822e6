"""A race: which configurations are surely not among the best, from what the first examples of a random draw are worth.

    race = Race(rules, keys, running, judge)             # which looks are complete, and what follows of each
    race.begin(); race.learn(trial_id, keys, values); race.ended(trial_id)

Looks are judged in their order, each once all who are still in the race have the values of its examples; so it never
matters who came first. How they are judged hangs on the metric: `race_by_mean.py`, `race_by_influence.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.metrics import MetricSet
from raybench.metrics.draw_order import looks
from raybench.planning.races import PlannedRace
from raybench.results.race_by_influence import ByInfluence
from raybench.results.race_by_mean import ByMean
from raybench.results.race_judge import Judge, Verdict
from raybench.results.settled import WORSE

__all__ = ["Open", "Race", "Stop", "judge_of"]


def judge_of(rules: PlannedRace, num_examples: int, metrics: MetricSet) -> Judge:
    """The judge for what ranks."""
    return ByMean(rules, num_examples) if rules.is_mean else ByInfluence(rules, num_examples, metrics)


class Stop(NamedTuple):
    """These trials are not scored on."""

    trial_ids: tuple[str, ...]
    reason: str
    num_examples: int  # after which it was decided


class Open(NamedTuple):
    """These trials may be scored up to the end of this round, counted from 0."""

    trial_ids: tuple[str, ...]
    round: int


class Race:
    """One race from its first look to its last: a state machine without clock or I/O.

    `keys` are the draw keys of all examples, uint64 [N], and `running` the trials that this run scores. What another
    run scores, or ended badly, takes no part in looks of which it lacks the values; so nobody is waited for in vain.
    """

    def __init__(self, rules: PlannedRace, keys: np.ndarray, running: Collection[str], judge: Judge) -> None:
        self._rules, self._judge = rules, judge
        self._keys = np.sort(keys)
        self._looks = looks(len(keys))
        self._sizes = np.diff([0, *self._looks])
        trial_ids = [trial_id for one in rules.contestants for trial_id in one.trial_ids]
        self._running = {trial_id for trial_id in trial_ids if trial_id in running}
        self._is_known = {trial_id: np.zeros(len(keys), dtype=bool) for trial_id in trial_ids}
        self._counts = {trial_id: np.zeros(len(self._looks), dtype=np.int64) for trial_id in trial_ids}
        self._places: dict[str, list[int]] = {}  # trial → the contestants that it is of
        for place, one in enumerate(rules.contestants):
            for trial_id in one.trial_ids:
                self._places.setdefault(trial_id, []).append(place)
        self._in = dict.fromkeys(range(len(rules.contestants)))  # in the order of the job
        self._lacking: dict[int, None] = {}  # those of them that the look waits for
        self._look = 0
        self._has_begun = False

    def learn(self, trial_id: str, keys: np.ndarray, values: np.ndarray | pa.Table) -> list[Stop | Open]:
        """What some examples are worth by a trial, as its judge reads it; what is known already changes nothing."""
        places = np.searchsorted(self._keys, keys)
        new = ~self._is_known[trial_id][places]
        self._judge.learn(trial_id, places, values)
        self._is_known[trial_id][places] = True
        rounds = np.searchsorted(self._looks, places[new], side="right")
        self._counts[trial_id] += np.bincount(rounds, minlength=len(self._looks))
        for place in self._places[trial_id]:
            if place in self._lacking and not self._incomplete(place):
                del self._lacking[place]
        return [] if self._lacking else self._go_on()  # a shard is looked at for its own contestant alone

    def ended(self, trial_id: str) -> list[Stop | Open]:
        """A trial has ended, well or not: nothing more is to be learnt of it."""
        self._running.discard(trial_id)
        return self._go_on()

    def begin(self) -> list[Stop | Open]:
        """What follows of what has been learnt up to now of earlier runs; before, nothing is judged."""
        self._has_begun = True
        return self._go_on()

    def _go_on(self) -> list[Stop | Open]:
        found: list[Stop | Open] = []
        while self._has_begun and self._look < len(self._looks) - 1:  # at the last one there is nothing left to save
            self._lacking = {place: None for place in self._in if self._incomplete(place)}
            for place in list(self._lacking):
                if self._running.issuperset(self._incomplete(place)):
                    continue
                del self._in[place], self._lacking[place]
                rest = tuple(one for one in self._rules.contestants[place].trial_ids if one in self._running)
                found += [Open(rest, len(self._looks) - 1)] if rest else []
            if self._lacking or not self._in:
                break
            found += self._stop()
            self._look += 1
            ids = [one for place in self._in for one in self._rules.contestants[place].trial_ids]
            going = tuple(dict.fromkeys(one for one in ids if one in self._running))
            found += [Open(going, self._look)] if going else []
        return found

    def _stop(self) -> list[Stop | Open]:
        contestants, places, upto = self._rules.contestants, list(self._in), self._looks[self._look]
        verdicts = self._judge.verdicts([contestants[place].trial_ids for place in places], upto)
        found: list[Stop | Open] = []
        for verdict in verdicts:
            del self._in[places[verdict.place]]
        kept = {one for place in self._in for one in contestants[place].trial_ids}
        for verdict in verdicts:
            ids = contestants[places[verdict.place]].trial_ids
            stopped = tuple(one for one in ids if one in self._running and one not in kept)
            if stopped:
                found.append(Stop(stopped, self._told(contestants[places[verdict.leader]].name, verdict, upto), upto))
        self._running -= {one for stop in found for one in stop.trial_ids}
        return found

    def _told(self, leader: str, verdict: Verdict, upto: int) -> str:
        rules, margin = self._rules, verdict.margin
        amount = f"{100 * margin:.1f} points of {rules.metric}"
        if rules.unit != "fraction":
            amount = f"{margin:.3g} in {rules.metric}"
        by = f" by at least {amount}" if margin > 0 else f" in {rules.metric}"
        sure = f"{100 * (1 - rules.alpha):g} %, {self._judge.sure}"
        return f"{WORSE}{leader}{by} ({sure}), after {upto:,} of {len(self._keys):,}"

    def _incomplete(self, place: int) -> list[str]:
        """The trials of a contestant that have not all values up to the look."""
        ids, sizes = self._rules.contestants[place].trial_ids, self._sizes[: self._look + 1]
        return [one for one in ids if (self._counts[one][: self._look + 1] < sizes).any()]
