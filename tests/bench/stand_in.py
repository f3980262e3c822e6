"""What a driver asks of an actor besides work, for actors that only seem to work: both benchmarks of the driver."""

from __future__ import annotations

import time

import pyarrow as pa
import ray

from raybench.metrics import MetricSet
from raybench.store.shards import ShardCommit


class StandIn:
    """`score_range` says what a shard takes and what is recorded of it."""

    metrics: MetricSet

    def ready(self) -> str:
        return ray.get_runtime_context().get_node_id()

    @ray.method(concurrency_group="control")
    def release(self, keys: list[str]) -> None:
        pass

    def score(self, trial_id: str, ranges: list[tuple[int, int]], held: object) -> list[ShardCommit]:
        return [self._score(trial_id, start, stop) for start, stop in ranges]

    def score_range(self, trial_id: str, start: int, stop: int) -> tuple[float, pa.Table]:
        raise NotImplementedError

    def _score(self, trial_id: str, start: int, stop: int) -> ShardCommit:
        seconds, records = self.score_range(trial_id, start, stop)
        return ShardCommit(
            trial_id=trial_id, start=start, stop=stop, num_examples=records.num_rows,
            states=self.metrics.states(records).to_bytes(), score_seconds=seconds, wall_seconds=seconds,
            peak_memory_bytes=0, device="cpu", dtype="float32", threads=1, cost="{}", basis="b",
        )  # fmt: skip

    @ray.method(concurrency_group="control")
    def beat(self) -> tuple[float, int, bool, None]:
        return time.monotonic(), 0, False, None  # as if it used a processor all the time

    @ray.method(concurrency_group="control")
    def moments(self) -> dict[str, float]:
        return {}

    def measure(self, rows: list[object]) -> list[None]:
        return [None for _ in rows]
