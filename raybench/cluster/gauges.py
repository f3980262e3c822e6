"""How far a run is, among Ray's own metrics: what a cluster's Prometheus reads of every node, by the run's id.

    raybench_trials_ended{run="topics-3f2a91", status="ok"} 12      raybench_trials{run=…} 40
    raybench_examples_scored{run=…}   raybench_shards_scored{run=…}   raybench_actors_lost{run=…}
    raybench_actors_at_work{run=…}

Numbers are of this run alone, without what earlier ones did. Nothing is listened to here: Ray's agent on the driver's
node gives the page (https://docs.ray.io/en/latest/cluster/metrics.html).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from raybench.cluster.observer import AtWork, Observer

if TYPE_CHECKING:
    from raybench.store.shards import ShardCommit
    from raybench.store.trials import TrialRow

__all__ = ["Gauges"]

_MEANINGS = {
    "trials": "trials that the run has to do",
    "shards_scored": "shards scored",
    "examples_scored": "examples scored",
    "actors_lost": "actors that died or were ended",
    "actors_at_work": "actors that have work",
}


class Gauges(Observer):
    """Tells another observer all that it is told, and keeps the gauges, once a second."""

    def __init__(self, observer: Observer, run_id: str, num_trials: int) -> None:
        from ray.util.metrics import Gauge

        self._observer, self._run = observer, {"run": run_id}
        self._gauges = {
            name: Gauge(f"raybench_{name}", description=meaning, tag_keys=("run",))
            for name, meaning in _MEANINGS.items()
        }
        self._ended = Gauge("raybench_trials_ended", description="trials that ended", tag_keys=("run", "status"))
        self._counts = Counter(trials=num_trials)
        self._statuses: Counter[str] = Counter()
        self._set()

    def batches_planned(self, data_key: str, num_batches: int) -> None:
        self._observer.batches_planned(data_key, num_batches)

    def found_scored(self, trial_id: str, num_batches: int) -> None:
        self._observer.found_scored(trial_id, num_batches)

    def shard_scored(self, commit: ShardCommit) -> None:
        self._counts.update(shards_scored=1, examples_scored=commit.num_examples)
        self._observer.shard_scored(commit)

    def trial_ended(self, row: TrialRow) -> None:
        self._statuses[str(row.status)] += 1
        self._observer.trial_ended(row)

    def actor_lost(self, actor: int, reason: str) -> None:
        self._counts["actors_lost"] += 1
        self._observer.actor_lost(actor, reason)

    def reached(self, moment: str, at: float) -> None:
        self._observer.reached(moment, at)

    def note(self, line: str) -> None:
        self._observer.note(line)

    def tick(self, at_work: Sequence[AtWork]) -> None:
        self._counts["actors_at_work"] = len(at_work)
        self._set()
        self._observer.tick(at_work)

    def _set(self) -> None:
        for name, gauge in self._gauges.items():
            gauge.set(self._counts[name], tags=self._run)
        for status, count in self._statuses.items():
            self._ended.set(count, tags=self._run | {"status": status})
