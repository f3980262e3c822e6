"""A race: which configurations are surely not among the best, from what the first examples of a random draw are worth.

    least = least_evidence(num_contestants=12, keep=1, alpha=0.05)
    verdicts = judge(values_KN, population=5_000, keep=1, least=least)      # a pure function
    race = Race(rules, keys, running)                    # which looks are complete, and what follows of each
    race.begin(); race.learn(trial_id, keys, values); race.ended(trial_id)

Looks are judged in their order, each once all who are still in the race have the values of its examples; so it never
matters who came first. At a look the best `keep` so far are the leaders. A configuration is stopped when the betting
e-process (`metrics/e_process.py`) of each leader against it has once exceeded keep · (K − 1) / alpha.

Why that is right: say a configuration is truly among the best `keep`. Then one of the leaders that stop it is truly not
better, and that pair's e-process, under its null, exceeds keep · (K − 1) / alpha with probability at most
alpha / (keep · (K − 1)), however often one looks (Ville). It has K − 1 rivals, and there are `keep` such
configurations: all of them are kept with probability at least 1 − alpha. The bound told of one that is stopped is the
same test of margins above 0.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from raybench.metrics.draw_order import looks
from raybench.metrics.e_process import log_wealth
from raybench.planning.races import PlannedRace

__all__ = ["Open", "Race", "Stop", "Verdict", "is_settled", "judge", "least_evidence", "least_margin"]

_MARGIN = 0.001  # of the metric's range: bounds are told in steps of it
_MARGINS, _MARGINS_AT_ONCE = _MARGIN * np.arange(1, 1001), 20
_AT_ONCE = 1 << 22  # values
_WORSE = "worse than "


class Verdict(NamedTuple):
    """Who is surely not among the best, and the leader that is best so far."""

    place: int
    leader: int


def judge(values_KN: np.ndarray, *, population: int, keep: int, least: float) -> list[Verdict]:
    """Of those still in a race the ones to stop; values in [0, 1], larger is better, in the order of the draw.

    `population` is how many examples there are in all, `least` ln of what e-values must reach (`least_evidence`).
    """
    leaders = np.argsort(-values_KN.mean(axis=1), kind="stable")[:keep]
    others = np.setdiff1d(np.arange(len(values_KN)), leaders)
    if len(leaders) < keep or not others.size:
        return []
    is_worse = np.ones(others.size, dtype=bool)
    for leader in leaders:
        for part in np.array_split(np.arange(others.size), -(-others.size * values_KN.shape[1] // _AT_ONCE)):
            wealth_PN = log_wealth(values_KN[leader] - values_KN[others[part]], population=population)
            is_worse[part] &= wealth_PN.max(axis=1) >= least
    return [Verdict(int(place), int(leaders[0])) for place in others[is_worse]]


def least_evidence(*, num_contestants: int, keep: int, alpha: float) -> float:
    """ln of the e-value that every leader must have reached against whom is stopped."""
    return math.log(keep * (num_contestants - 1) / alpha)


def least_margin(differences_N: np.ndarray, *, population: int, least: float) -> float:
    """By how much at least the mean of these differences in [-1, 1] is above 0: every smaller margin is excluded."""
    for some in np.array_split(_MARGINS, len(_MARGINS) // _MARGINS_AT_ONCE):
        wealth_PN = log_wealth(differences_N[None], population=population, margin=some[:, None])
        excluded = np.logical_and.accumulate(wealth_PN.max(axis=1) >= least)
        if not excluded.all():
            return max(0.0, float(some[excluded.sum()]) - _MARGIN)
    return float(_MARGINS[-1])


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

    def __init__(self, rules: PlannedRace, keys: np.ndarray, running: Collection[str]) -> None:
        self._rules = rules
        self._keys = np.sort(keys)
        self._looks = looks(len(keys))
        self._sizes = np.diff([0, *self._looks])
        trial_ids = [trial_id for one in rules.contestants for trial_id in one.trial_ids]
        self._running = {trial_id for trial_id in trial_ids if trial_id in running}
        self._values = {trial_id: np.zeros(len(keys)) for trial_id in trial_ids}
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

    def learn(self, trial_id: str, keys: np.ndarray, values: np.ndarray) -> list[Stop | Open]:
        """What some examples are worth by a trial, in the metric's own unit; what is known already changes nothing."""
        places = np.searchsorted(self._keys, keys)
        new = ~self._is_known[trial_id][places]
        self._values[trial_id][places], self._is_known[trial_id][places] = values, True
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
            found += self._judge()
            self._look += 1
            ids = [one for place in self._in for one in self._rules.contestants[place].trial_ids]
            going = tuple(dict.fromkeys(one for one in ids if one in self._running))
            found += [Open(going, self._look)] if going else []
        return found

    def _judge(self) -> list[Stop | Open]:
        rules, upto = self._rules, self._looks[self._look]
        low, high = rules.range
        values_KN = np.stack([self._worth(place, upto) for place in self._in])
        scaled_KN = (values_KN - low) / (high - low)
        scaled_KN = scaled_KN if rules.higher_is_better else 1 - scaled_KN
        least = least_evidence(num_contestants=len(rules.contestants), keep=rules.keep, alpha=rules.alpha)
        verdicts = judge(scaled_KN, population=len(self._keys), keep=rules.keep, least=least)
        places = list(self._in)
        found: list[Stop | Open] = []
        for verdict in verdicts:
            del self._in[places[verdict.place]]
        kept = {one for place in self._in for one in rules.contestants[place].trial_ids}
        for verdict in verdicts:
            ids = rules.contestants[places[verdict.place]].trial_ids
            stopped = tuple(one for one in ids if one in self._running and one not in kept)
            if stopped:
                leader = rules.contestants[places[verdict.leader]].name
                differences_N = scaled_KN[verdict.leader] - scaled_KN[verdict.place]
                margin = least_margin(differences_N, population=len(self._keys), least=least)
                found.append(Stop(stopped, self._told(leader, margin * (high - low), upto), upto))
        self._running -= {one for stop in found for one in stop.trial_ids}
        return found

    def _told(self, leader: str, margin: float, upto: int) -> str:
        rules = self._rules
        amount = f"{100 * margin:.1f} points of {rules.metric}"
        if rules.unit != "fraction":
            amount = f"{margin:.3g} in {rules.metric}"
        by = f" by at least {amount}" if margin > 0 else f" in {rules.metric}"
        sure = f"{100 * (1 - rules.alpha):g} %, anytime"
        return f"{_WORSE}{leader}{by} ({sure}), after {upto:,} of {len(self._keys):,}"

    def _worth(self, place: int, upto: int) -> np.ndarray:
        """The mean over its seeds of what the first examples are worth."""
        ids = self._rules.contestants[place].trial_ids
        return np.mean([self._values[one][:upto] for one in ids], axis=0)

    def _incomplete(self, place: int) -> list[str]:
        """The trials of a contestant that have not all values up to the look."""
        ids, sizes = self._rules.contestants[place].trial_ids, self._sizes[: self._look + 1]
        return [one for one in ids if (self._counts[one][: self._look + 1] < sizes).any()]


def is_settled(status: str, reason: str | None) -> bool:
    """Whether a configuration needs nothing more: it ended well, or a race has shown what was to be shown of it."""
    return status == "ok" or (status == "stopped" and (reason or "").startswith(_WORSE))
