"""What the driver costs a shard: 10,000 shards of no work through real actors, committed, merged and resumed.

    python tests/bench/bench_driver.py [--shards 10000] [--trials N] [--request-ms 30] [--simulated ACTORS]

The actors answer at once with a small state (a 5-class confusion matrix of 8 examples), so what is timed is dispatch,
wait, commit, the write of the store, the merge with its proof of coverage, and Ray; each trial has a fit, of no work
either. With --request-ms every request to the store takes so long. The loop's time is that until the last trial has
ended, less what it waits for actors. Simulated actors are calls in memory, without Ray, answered in the order sent;
what the process holds is told ten times on the way.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import ray
from stand_in import StandIn

from raybench.cluster.driver import Driver
from raybench.cluster.observer import Observer
from raybench.cluster.pool import Pool
from raybench.core import DatasetKey, ModelSpec, Shard, Status, Trial
from raybench.metrics import MetricSet
from raybench.metrics.coverage import Coverage
from raybench.planning.plan import PlannedTrial
from raybench.results.ledger import Ledger
from raybench.results.racing import Races
from raybench.schedule.queue import Queue
from raybench.schedule.work import ActorReady, Event, Fit, Fitted, Prepare, Prepared, Scored, TrialWork, Work
from raybench.store import Store
from raybench.store.files import Files
from raybench.store.shards import ShardCommit, ShardLog
from raybench.store.trials import TrialLog

ROWS = 8  # examples a shard
MOST = 1_000  # shards a trial: of more batches a shard would hold several


def ids(shard: int) -> list[str]:
    return [f"{shard * ROWS + row:016x}" for row in range(ROWS)]


class Answers(StandIn):
    """At once."""

    def __init__(self, metrics: MetricSet) -> None:
        self.metrics = metrics

    def score_range(self, trial_id: str, start: int, stop: int) -> tuple[float, pa.Table]:
        columns = {"id": ids(start), "target": np.arange(ROWS, dtype=np.int32) % 5}
        return 0.0, pa.table({**columns, "prediction": np.arange(ROWS, dtype=np.int32) % 4})


@ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"control": 1})
class IdleWorker(Answers):
    """The same as an actor."""

    def __init__(self) -> None:
        super().__init__(MetricSet(["accuracy", "macro_f1"], {"labels": list("abcde")}))

    @ray.method(num_returns=2)
    def prepare(self, data_key: str) -> tuple[None, tuple[int, int, str, tuple[int, ...]]]:
        return None, (int(data_key), 0, "plan", ())

    def fit(self, trial_ids: tuple[str, ...], held: object) -> dict[str, str]:
        return dict.fromkeys(trial_ids, "{}")


class FarAway(Files):
    """A store of which each request takes a while."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(url)
        self._seconds = seconds

    def _do(self, *given: Any, **options: Any) -> Any:
        time.sleep(self._seconds)
        return super()._do(*given, **options)


class WatchedPool(Pool):
    """`waited` seconds for actors; at `done` all was scored."""

    waited = done = 0.0

    def measure(self, rows: Any, stopped: Any) -> dict[str, Any]:
        self.done = time.perf_counter()
        return super().measure(rows, stopped)

    def wait(self, timeout: float) -> list[Event]:
        began = time.perf_counter()
        try:
            return super().wait(timeout)
        finally:
            self.waited += time.perf_counter() - began


class SimulatedPool:
    """Actors that answer at the next wait, a thousand calls at once."""

    waited = done = 0.0

    def __init__(self, num_shards: int) -> None:
        metrics = MetricSet(["accuracy", "macro_f1"], {"labels": list("abcde")})
        worker = Answers(metrics)
        self._states = [worker._score("", start, start + 1) for start in range(MOST)]
        self._calls: deque[tuple[int, Sequence[Work]]] = deque()
        self._commits: list[ShardCommit] = []
        self._every, self._scored, self.held = max(1, num_shards // 10), 0, []

    def start(self, actor: int, delay_seconds: float) -> None:
        self._calls.append((actor, ()))

    def send(self, actor: int, work: Sequence[Work], reads: Sequence[str]) -> None:
        self._calls.append((actor, work))

    def wait(self, timeout: float) -> list[Event]:
        began = time.perf_counter()
        calls = [self._calls.popleft() for _ in range(min(1000, len(self._calls)))]
        events = [event for actor, work in calls for event in self._events(actor, work)]
        self.waited += time.perf_counter() - began
        return events

    def _events(self, actor: int, works: Sequence[Work]) -> list[Event]:
        return [self._event(actor, work) for work in works] if works else [ActorReady(actor=actor)]

    def _event(self, actor: int, work: Work) -> Event:
        match work:
            case Prepare(data_key=key):
                return Prepared(actor=actor, data_key=key, num_batches=int(key), plan="plan")
            case Fit(trial_ids=fits):
                return Fitted(actor=actor, work=work, metas=dict.fromkeys(fits, "{}"))
            case Shard(trial_id=trial_id, start=start):
                states = bytearray(self._states[start].states)  # its own, as it would come from an actor
                self._commits.append(replace(self._states[start], trial_id=trial_id, states=bytes(states)))
                if self._scored % self._every == 0:
                    self.held.append(psutil.Process().memory_info().rss)
                self._scored += 1
                return Scored(actor=actor, shard=work)
        raise AssertionError(work)

    def take_commits(self) -> list[ShardCommit]:
        commits, self._commits = self._commits, []
        return commits

    def measure(self, rows: Any, stopped: Any) -> dict[str, Any]:
        self.done = time.perf_counter()
        return {}

    def stop(self, actor: int) -> None: ...
    def release(self, keys: Any) -> None: ...
    def stop_all(self) -> None: ...
    def unplaced(self) -> None: ...
    def moments(self) -> list[Any]:
        return []

    keep_idle = at_work = moments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--request-ms", type=float, default=0.0)
    parser.add_argument("--simulated", type=int, default=0)
    asked = parser.parse_args()
    if not asked.simulated:
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        files = FarAway(folder, asked.request_ms / 1000)
        store = Store(files=files, shards=ShardLog(files), trials=TrialLog(files))
        num_trials = asked.trials or -(-asked.shards // MOST)
        each = asked.shards // num_trials
        names = [f"t{number}" for number in range(num_trials)]
        expected = Coverage.of([name for shard in range(each) for name in ids(shard)])
        key = DatasetKey(name="words", task="text-classification", labels=(), fingerprint="", max_length=1)
        planned = {}
        for name in names:
            work = TrialWork(trial_id=name, data_key=str(each), needs_fit=True, bundle=name)
            trial = Trial(
                trial_id=name, candidate=name, model=ModelSpec(reference="m"), dataset=key, method="none",
                hyperparameters={}, seed=0, weights_fingerprint="",
            )  # fmt: skip
            planned[name] = PlannedTrial(trial=trial, work=work)
        ledger = Ledger(
            planned,
            expected={"words": expected},
            usable=lambda planned, plan: [],
            store=store,
            skipped=print,
            check=lambda: None,
        )
        ledger._writer.ended = lambda row, checkpoint: None  # keep the shards, to time their resume
        pool: Any = SimulatedPool(num_trials * each)
        if not asked.simulated:
            pool = WatchedPool(
                lambda avoided: IdleWorker.options(num_cpus=1, enable_task_events=False).remote(), hang_seconds=600
            )
        queue = Queue([one.work for one in planned.values()], num_actors=asked.simulated or 2, shard_batches=1)
        races = Races({}, {}, {}, set(names), store.files, print)
        driver = Driver(queue=queue, pool=pool, ledger=ledger, observer=Observer(), races=races)
        began_cpu, began = time.process_time(), time.perf_counter()
        driver.run()
        seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        loop = pool.done - began - pool.waited
        assert {row.status for row in ledger.rows.values()} == {Status.OK}, ledger.rows
        began = time.perf_counter()
        with ThreadPoolExecutor(16) as threads:  # as `planning.resume` does
            num_resumed = sum(threads.map(lambda name: len(store.shards.read(name, print)), names))
        resume = time.perf_counter() - began
        assert num_resumed == num_trials * each
    times = {"with the actors' start": seconds, "of the loop": loop, "of the driver's processor": cpu}
    told = ", ".join(f"{what / num_resumed * 1e3:.3f} ms {of}" for of, what in times.items())
    if asked.simulated:
        print(f"held on the way: {', '.join(f'{held / 1e6:.0f}' for held in pool.held)} MB")
    print(f"{num_trials} trials, {num_resumed} shards; a shard {told}; resumed in {resume:.2f} s")


if __name__ == "__main__":
    main()
