"""The races of a run: what is committed, and what earlier runs have recorded, as news to the race that it concerns.

    races = Races(plan.races, plan.datasets, rows, running, store.files, skipped)
    verdicts = races.begin()
    verdicts = races.committed(commit); races.found(trial_id, basis); races.ended(trial_id)

A trial may be in several races of one dataset only as two names of one configuration; then all of them hear of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping

from raybench.core import Status
from raybench.metrics.draw_order import draw_keys
from raybench.planning.datasets import PlannedDataset
from raybench.planning.races import PlannedRace
from raybench.results.measure import Drawn, Measuring
from raybench.results.race import Open, Race, Stop, judge_of
from raybench.store.files import Files
from raybench.store.parquet import Skipped
from raybench.store.records import read_records
from raybench.store.shards import ShardCommit
from raybench.store.trials import TrialRow

__all__ = ["Races"]

Verdicts = list[Stop | Open]


class Races:
    """Those that trials of this run take part in; `running` are the trials that this run scores."""

    def __init__(
        self,
        races: Mapping[str, PlannedRace],
        datasets: Mapping[str, PlannedDataset],
        rows: Mapping[str, TrialRow],  # of trials that earlier runs have ended
        running: Collection[str],
        files: Files,
        skipped: Skipped,
    ) -> None:
        self._files, self._skipped = files, skipped
        self._of: dict[str, list[Race]] = defaultdict(list)  # trial → its races
        self._measuring: dict[str, Measuring] = {}  # trial → how its records are read
        self._all: list[Race] = []
        before: dict[str, str] = {}
        for rules in races.values():
            trial_ids = {one for contestant in rules.contestants for one in contestant.trial_ids}
            if trial_ids.isdisjoint(running):
                continue
            dataset = datasets[rules.dataset]
            keys = draw_keys(dataset.loaded.splits["test"].column("id"), seed=rules.seed)
            race = Race(rules, keys, running, judge_of(rules, len(keys), dataset.metric_set()))
            self._all.append(race)
            for trial_id in trial_ids:
                self._of[trial_id].append(race)
                self._measuring[trial_id] = Measuring.of(dataset)
                row = rows.get(trial_id)
                if trial_id not in running and row is not None and row.status in (Status.OK, Status.STOPPED):
                    before[trial_id] = row.basis
        for trial_id, basis in before.items():
            self.found(trial_id, basis)

    def begin(self) -> Verdicts:
        """What follows of earlier runs alone."""
        return [verdict for race in self._all for verdict in race.begin()]

    def found(self, trial_id: str, basis: str) -> Verdicts:
        """What earlier runs have recorded of a trial."""
        if trial_id not in self._of:
            return []
        records = read_records(self._files, trial_id, basis, self._skipped)
        return self._learn(trial_id, self._measuring[trial_id].drawn(records)) if records is not None else []

    def committed(self, commit: ShardCommit) -> Verdicts:
        """A shard is in."""
        return self._learn(commit.trial_id, Drawn.from_bytes(commit.drawn)) if commit.drawn else []

    def ended(self, trial_id: str) -> Verdicts:
        """A trial has ended, however."""
        return self._tell(trial_id, lambda race: race.ended(trial_id))

    def _learn(self, trial_id: str, drawn: Drawn) -> Verdicts:
        return self._tell(trial_id, lambda race: race.learn(trial_id, drawn.keys, drawn.values))

    def _tell(self, trial_id: str, news: Callable[[Race], Verdicts]) -> Verdicts:
        return [verdict for race in self._of.get(trial_id, ()) for verdict in news(race)]
