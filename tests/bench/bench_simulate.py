"""The simulator against the bound, and against real runs of the same queue over real actors that sleep.

    python tests/bench/bench_simulate.py bound          # 10,000 trials on 1,000 actors
    python tests/bench/bench_simulate.py real           # 24 trials on 1, 2 and 4 actors

Actors that sleep as long as work would take leave the processors to Ray and the driver, so that 4 actors on 2 cores are
4 actors; rows, bundles, shards, commits and the store are real. The start of an actor is measured before.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time

import pyarrow as pa
import ray
from stand_in import StandIn

from raybench.cluster.driver import Driver
from raybench.cluster.observer import Observer
from raybench.cluster.pool import Pool
from raybench.core import DatasetKey, ModelSpec, Status, Trial
from raybench.metrics import MetricSet
from raybench.metrics.coverage import Coverage
from raybench.planning.plan import PlannedTrial
from raybench.results.ledger import Ledger
from raybench.results.racing import Races
from raybench.schedule.pace import Pace, lower_bound
from raybench.schedule.queue import Queue
from raybench.schedule.simulate import simulate
from raybench.schedule.work import TrialWork
from raybench.store import Store

SHARD_BATCHES = 2
KINDS = (("one fit a trial", 1, False), ("bundles of 20", 20, False), ("features, a network a trial", 1, True),
         ("features, 20 trials a network", 20, True))  # fmt: skip


def sweep(
    num_trials: int, *, scale: float, bundle: int, features: bool, num_batches: int
) -> tuple[list[TrialWork], Pace]:
    """Trials of drawn lengths; what the queue expects of each fit is off by a fifth or so."""
    rng = random.Random(0)
    works, steps, score, of_features, data = [], {}, {}, {}, {}
    for number in range(num_trials):
        name, own = f"b{number // bundle}", scale * rng.lognormvariate(0, 0.8)
        path = ((f"{name} begins", scale / 6), (f"t{number}", own)) if bundle > 1 else ((f"t{number}", own),)
        key, net = f"d{number // bundle % 20}", name if features else None
        works.append(
            TrialWork(
                trial_id=f"t{number}", data_key=key, needs_fit=True, bundle=name, fit_steps=path,
                train_features=net and f"{net}:train", test_features=net and f"{net}:test",
            )
        )  # fmt: skip
        steps |= {step: cost * rng.lognormvariate(0, 0.2) for step, cost in path if step not in steps}
        score[f"t{number}"] = own / (2 * num_batches)
        of_features |= {f"{net}:train": scale / 100, f"{net}:test": scale / 100} if net else {}
        data[key] = (num_batches, num_batches // 4)
    prepare = dict.fromkeys(data, scale / 10)
    return works, Pace(
        start=20.0, answer=0.0005, batches=data, prepare=prepare, features=of_features, steps=steps, score=score
    )


def against_the_bound() -> None:
    for name, bundle, features in KINDS:
        works, pace = sweep(10_000, scale=60.0, bundle=bundle, features=features, num_batches=80)
        least = lower_bound(works, pace, num_actors=1000, shard_batches=4)
        for per_hour in (0.0, 0.02):
            began = time.process_time()
            run = simulate(works, pace, num_actors=1000, shard_batches=4, preempted_per_hour=per_hour)
            assert set(run.ended.values()) == {Status.OK}
            print(
                f"{name}, {100 * per_hour:g} %/h taken away: {run.makespan / least:.3f} × the bound, "
                f"{100 * run.utilisation:.0f} % in use, {run.num_preempted} taken away, {run.lost_seconds:.0f} s lost; "
                f"{time.process_time() - began:.1f} s of a processor"
            )


@ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"control": 1})
class SleepingWorker(StandIn):
    """Takes as long as work would."""

    def __init__(self, works: dict[str, TrialWork], pace: Pace) -> None:
        self._works, self._pace = works, pace
        self.metrics = MetricSet(["accuracy"], {"labels": ["a", "b"]})

    @ray.method(num_returns=2)
    def prepare(self, data_key: str) -> tuple[None, tuple[int, int, str, tuple[int, ...]]]:
        time.sleep(self._pace.prepare[data_key])
        return None, (*self._pace.batches[data_key], "plan", ())

    def fit(self, trial_ids: tuple[str, ...], held: object) -> dict[str, object]:
        time.sleep(self._pace.of_fit([self._works[trial_id] for trial_id in trial_ids]))
        return {}

    def score_range(self, trial_id: str, start: int, stop: int) -> tuple[float, pa.Table]:
        seconds = self._pace.score[trial_id] * (stop - start)
        time.sleep(seconds)
        names = [f"{batch}" for batch in range(start, stop)]
        classes = pa.array([0] * len(names), pa.int32())
        return seconds, pa.table({"id": names, "target": classes, "prediction": classes})


def against_real_runs() -> None:
    works, pace = sweep(24, scale=0.8, bundle=4, features=False, num_batches=8)
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    shared = ray.put({work.trial_id: work for work in works}), ray.put(pace)
    worker = SleepingWorker.options(num_cpus=1, enable_task_events=False)
    for num_actors in (1, 2, 4):
        began = time.perf_counter()
        first = [worker.remote(*shared) for _ in range(num_actors)]  # how long the start of so many takes now
        ray.get([one.ready.remote() for one in first])
        start = time.perf_counter() - began
        for one in first:
            ray.kill(one)
        known = Pace(
            start=start, answer=0.001, batches=pace.batches, prepare=pace.prepare, steps=pace.steps, score=pace.score
        )
        told = simulate(works, known, num_actors=num_actors, shard_batches=SHARD_BATCHES).makespan
        real = _real_seconds(works, num_actors, lambda avoided: worker.remote(*shared))
        print(f"{num_actors} actors: foretold {told:.1f} s, took {real:.1f} s: {100 * (told / real - 1):+.1f} %")


def _real_seconds(works: list[TrialWork], num_actors: int, start_worker: object) -> float:
    key = DatasetKey(name="words", task="text-classification", labels=(), fingerprint="", max_length=1)
    planned = {
        work.trial_id: PlannedTrial(
            trial=Trial(
                trial_id=work.trial_id, candidate="t", model=ModelSpec(reference="m"), dataset=key, method="none",
                hyperparameters={}, seed=0, weights_fingerprint="",
            ),
            work=work,
        )
        for work in works
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(folder)
        ledger = Ledger(
            planned,
            expected={"words": Coverage.of([f"{batch}" for batch in range(8)])},
            usable=lambda planned, plan: [],
            store=store,
            skipped=print,
            check=lambda: None,
        )
        queue = Queue(works, num_actors=num_actors, shard_batches=SHARD_BATCHES)
        pool, ended = Pool(start_worker, hang_seconds=600), _Ended()
        races = Races({}, {}, {}, set(), store.files, print)
        driver = Driver(queue=queue, pool=pool, ledger=ledger, observer=ended, races=races)
        began = time.perf_counter()
        driver.run()
        assert {row.status for row in ledger.rows.values()} == {Status.OK}, ledger.rows
        return ended.last - began


class _Ended(Observer):
    """Remembers when the last trial has ended: what follows is the end of the run's actors."""

    last = 0.0

    def trial_ended(self, row: object) -> None:
        self.last = time.perf_counter()


if __name__ == "__main__":
    {"bound": against_the_bound, "real": against_real_runs}[sys.argv[1]]()
