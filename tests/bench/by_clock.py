"""raybench against a transformers pipeline by the clock, on two cores of this machine.

raybench is two processes of one thread, with an actor's environment, without Ray: the first prepares all rows, as one
actor does, then both take batches from one queue, as actors take shards. The pipeline is one process with the best of
its settings: torch's threads × the loader's workers × the batch size, each tried on the first rows, the quickest three
on all. Both have the network open and have forwarded some rows before the clock runs; it stops when the last row is
told. The start of the loader's workers is within it. The sides take turns; the quickest run of each counts.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyarrow as pa
import torch
from as_actors import processes
from scored_alone import Side, Told, num_different, opened, prepared, scored

from raybench.data.batches import BatchPlan, BatchSlice
from raybench.runtime.scoring.predictor import Predictor

__all__ = ["Setting", "TwoProcesses", "against_by_clock", "settings_of", "two_cores"]

_CORES = 2
_GO_ON = 3  # settings of the pipeline that are tried on all rows
_RESTS = 0.2  # seconds before each run


class Setting(NamedTuple):
    """Of a pipeline."""

    threads: int
    workers: int
    batch_size: int

    def __str__(self) -> str:
        return f"{self.threads} threads, {self.workers} workers, batches of {self.batch_size}"


def settings_of(workers: Sequence[int], sizes: Sequence[int]) -> list[Setting]:
    """With one thread and with one a core."""
    return [Setting(*one) for one in itertools.product((1, _CORES), workers, sizes)]


class Process(NamedTuple):
    """What one of raybench's processes has open."""

    task: str
    path: Path
    labels: Sequence[str]
    predictor: Predictor
    together: Barrier


_OPEN: list[Process] = []  # in a process of raybench's, the one thing that it has open


class TwoProcesses:
    """raybench's core with a checkpoint open in two processes."""

    def __init__(self, task: str, path: Path, labels: Sequence[str], told: Callable[[pa.Table], Told]) -> None:
        given = (task, path, tuple(labels), get_context("spawn").Barrier(_CORES))
        self._pool = processes(_CORES, _open, given)
        self._told = told

    def warm(self, rows: pa.Table) -> None:
        """Both forward some rows."""
        for ready in [self._pool.submit(_warm, rows) for _ in range(_CORES)]:
            ready.result()

    def run(self, rows: pa.Table) -> Told:
        """What each row is told."""
        with TemporaryDirectory() as folder:
            place = Path(folder) / "rows.arrow"
            plan = self._pool.submit(_prepare, rows, place).result()
            parts = [self._pool.submit(_score, place, batch) for batch in plan.batches(0, plan.num_batches)]
            return self._told(pa.concat_tables([part.result() for part in parts]))

    def close(self) -> None:
        self._pool.shutdown()


def two_cores() -> None:
    """This process and those that it starts have two cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])


def against_by_clock(
    name: str,
    ours: TwoProcesses,
    rows: pa.Table,
    theirs: Callable[[int, Setting], Told],
    settings: Sequence[Setting],
    first: int,
    repeats: int,
    noun: str,
) -> None:
    """Print both sides; `theirs` is asked for the first so many rows by a setting, `first` of them to choose it by."""
    count = rows.num_rows
    ours.warm(rows.slice(0, first))
    theirs(first, settings[0])
    tried = {setting: _timed(lambda setting=setting: theirs(first, setting)).seconds for setting in settings}
    print(f"{name}, the pipeline's first {first}:", *(f"{first / tried[one]:.1f}/s by {one};" for one in settings))
    best = sorted(settings, key=tried.__getitem__)[:_GO_ON]
    mine, pipeline = [], []
    for _ in range(repeats):
        mine.append(_timed(lambda: ours.run(rows)))
        pipeline += [(_timed(lambda setting=setting: theirs(count, setting)), setting) for setting in best]
    own = min(mine, key=lambda side: side.seconds)
    other, setting = min(pipeline, key=lambda pair: pair[0].seconds)
    print(
        f"{name}: raybench, two processes, {count / own.seconds:.2f} {noun}/s, pipeline {count / other.seconds:.2f} "
        f"({setting}): {other.seconds / own.seconds:.2f}x; {num_different(own.told, other.told)} of {count} differ",
        flush=True,
    )


def _timed(run: Callable[[], Told]) -> Side:
    time.sleep(_RESTS)
    began = time.perf_counter()
    told = run()
    return Side(time.perf_counter() - began, told)


def _open(task: str, path: Path, labels: Sequence[str], together: Barrier) -> None:
    torch.set_num_threads(1)
    _OPEN.append(Process(task, path, labels, opened(task, path, labels), together))


def _warm(rows: pa.Table) -> None:
    one = _OPEN[0]
    data = prepared(one.task, one.path, rows, one.labels)
    scored(one.predictor, data.test, data.plan.batches(0, 1))
    one.together.wait()  # so that the other process takes the other call


def _prepare(rows: pa.Table, place: Path) -> BatchPlan:
    one = _OPEN[0]
    data = prepared(one.task, one.path, rows, one.labels)
    with pa.OSFile(str(place), "wb") as file, pa.ipc.new_file(file, data.test.schema) as writer:
        writer.write_table(data.test.combine_chunks())
    return data.plan


def _score(place: Path, batch: BatchSlice) -> pa.Table:
    return scored(_OPEN[0].predictor, _rows(place), [batch])


@lru_cache(maxsize=1)
def _rows(place: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(place))).read_all()
