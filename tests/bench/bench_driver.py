"""What the driver costs a shard: 10,000 shards of no work through real actors, committed, merged and resumed.

    python tests/bench/bench_driver.py [num_shards]

The actors answer at once with a small state (a 5-class confusion matrix of 8 examples), so what is timed is dispatch,
wait, commit, the write of the store, the merge with its proof of coverage, and Ray.
"""

from __future__ import annotations

import sys
import tempfile
import time

import numpy as np
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
from raybench.schedule.queue import Queue
from raybench.schedule.work import TrialWork
from raybench.store import Store

ROWS = 8  # examples a shard
MOST = 1_000  # shards a trial: of more batches a shard would hold several


def ids(shard: int) -> list[str]:
    return [f"{shard * ROWS + row:016x}" for row in range(ROWS)]


@ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"control": 1})
class IdleWorker(StandIn):
    """Answers at once."""

    def __init__(self) -> None:
        self.metrics = MetricSet(["accuracy", "macro_f1"], {"labels": list("abcde")})

    @ray.method(num_returns=2)
    def prepare(self, data_key: str) -> tuple[None, tuple[int, int, str, tuple[int, ...]]]:
        return None, (int(data_key), 0, "plan", ())

    def score_range(self, trial_id: str, start: int, stop: int) -> tuple[float, pa.Table]:
        columns = {"id": ids(start), "target": np.arange(ROWS, dtype=np.int32) % 5}
        return 0.0, pa.table({**columns, "prediction": np.arange(ROWS, dtype=np.int32) % 4})


def main() -> None:
    num_shards = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(folder)
        each = min(num_shards, MOST)
        names = [f"t{number}" for number in range(num_shards // each)]
        expected = Coverage.of([name for shard in range(each) for name in ids(shard)])
        key = DatasetKey(name="words", task="text-classification", labels=(), fingerprint="", max_length=1)
        planned = {}
        for name in names:
            work = TrialWork(trial_id=name, data_key=str(each), needs_fit=False, bundle=name)
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
        pool = Pool(lambda avoided: IdleWorker.options(num_cpus=1, enable_task_events=False).remote(), hang_seconds=600)
        queue = Queue([one.work for one in planned.values()], num_actors=2, shard_batches=1)
        races = Races({}, {}, {}, set(names), store.files, print)
        driver = Driver(queue=queue, pool=pool, ledger=ledger, observer=Observer(), races=races)
        began_cpu, began = time.process_time(), time.perf_counter()
        driver.run()
        seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        assert {row.status for row in ledger.rows.values()} == {Status.OK}, ledger.rows
        began = time.perf_counter()
        num_resumed = sum(len(Store.open(folder).shards.read(name, print)) for name in names)
        resume = time.perf_counter() - began
        assert num_resumed == len(names) * each
    print(f"{num_shards} shards: {seconds / num_shards * 1e3:.3f} ms a shard with the actors' start,", end=" ")
    print(f"{cpu / num_shards * 1e3:.3f} ms of the driver's processor time; resumed in {resume:.2f} s")


if __name__ == "__main__":
    main()
