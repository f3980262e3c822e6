"""The actor: prepares rows, fits trials, scores shards; every exception becomes a `Failure`, never a dead call.

Long-lived and not restartable: Ray would otherwise rerun half-done work silently. It keeps the prepared rows and
the model it used last, so that weights are not loaded for every shard.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from raybench.cluster.waiting import waits_for_hub
from raybench.core.uncollected import uncollected
from raybench.models.import_structure import remember_folders

if TYPE_CHECKING:  # nothing else is imported before the collector is off
    from raybench.cluster.context import Held, RunContext
    from raybench.core.training_step import TrainingStep
    from raybench.results.measure import Measured
    from raybench.schedule.retry import Failure
    from raybench.schedule.work import Features, Missing
    from raybench.store.shards import ShardCommit
    from raybench.store.trials import TrialRow

__all__ = ["Worker", "resident_bytes"]


@ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"control": 1})  # type: ignore[call-overload]
class Worker:
    """One GPU, or some CPUs; one piece of work at a time, in the order it was sent."""

    def __init__(self, context: RunContext | None, imports: Sequence[str] = ()) -> None:
        """Without a context it imports what it will need, and is told the context by `begin`."""
        remember_folders()
        with uncollected():
            from raybench.cluster.session import Session

            for module in imports:
                import_module(module)
        self._not_begun: Exception | None = None
        if context is not None:
            self._session = Session(context)

    def begin(self, context: RunContext) -> None:
        """The run that it takes part in, or a round more of one; why it cannot is said by `ready`."""
        from raybench.cluster.session import Session

        if hasattr(self, "_session"):
            self._session.end()
        try:
            self._session = Session(context)
        except Exception as error:
            self._not_begun = error

    def ready(self) -> str:
        """Answers when the imports are done: the id of the node it is on."""
        if self._not_begun is not None:
            raise self._not_begun
        return ray.get_runtime_context().get_node_id()

    @ray.method(num_returns=2)
    def prepare(self, data_key: str) -> tuple[Any, tuple[int, int, str, tuple[int, ...]] | Failure]:
        """Prepared rows, to be kept by reference, the batches that test and train make, their digest, the rounds."""
        return self._session.prepare(data_key)

    @ray.method(num_returns=2)
    def features(self, part: Features, held: Held) -> tuple[Any, Failure | Missing | None]:
        """Features of some batches, to be kept by reference."""
        self._session.held_are_at(held)
        return self._session.features(part)

    def fit(self, trial_ids: tuple[str, ...], held: Held) -> dict[str, Failure | str] | Failure | Missing:
        """Fit trials and leave their checkpoints in the store; of each its failure or the JSON of its checkpoint."""
        self._session.held_are_at(held)
        return self._session.fit(trial_ids)

    def score(self, trial_id: str, ranges: list[tuple[int, int]], held: Held) -> list[ShardCommit | Failure | Missing]:
        """Score runs of batches [start, stop): records to the store, states and coverage back, or why not."""
        self._session.held_are_at(held)
        return [self._session.score(trial_id, start, stop) for start, stop in ranges]

    def measure(self, rows: list[TrialRow]) -> list[Measured | None]:
        """What the tables say of trials that have ended; None where that could not be found out."""
        return self._session.measure(rows)

    @ray.method(concurrency_group="control")
    def beat(self) -> tuple[float, int, bool, TrainingStep | None]:
        """Processor seconds used so far, bytes of memory held, whether it waits for the hub, and how far a fit has got.

        A process that uses no processor hangs, unless it waits for a download.
        """
        return time.process_time(), resident_bytes(), waits_for_hub(), self._session.doing

    @ray.method(concurrency_group="control")
    def moments(self) -> dict[str, float]:
        """When its first fit and its first step of training began, in seconds since 1970."""
        return self._session.moments

    @ray.method(concurrency_group="control")
    def release(self, keys: list[str]) -> None:
        """Forget rows and features that nobody reads any more."""
        self._session.release(keys)

    @ray.method(concurrency_group="control")
    def leave(self) -> None:
        """The node is about to go."""
        self._session.leave()


def resident_bytes() -> int:
    """What this process holds in memory, 0 where the system does not say it as Linux does."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
