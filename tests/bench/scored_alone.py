"""What a benchmark against transformers' pipelines gives raybench to do: rows of files through one checkpoint as it is,
in this process, to records; and which of two sides was quicker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.data.batches import BatchSlice
from raybench.runtime.prepare import PreparedData, prepare_data
from raybench.runtime.scoring.predictor import Predictor
from raybench.runtime.trial import open_predictor
from raybench.tasks.catalog import get_task

__all__ = ["Side", "Told", "against", "num_different", "opened", "prepared", "records_of", "scored"]

Told = dict[str, Any]  # what each row was told, by id


class Side(NamedTuple):
    """Seconds of the quickest of several runs, and what it told."""

    seconds: float
    told: Told


def opened(task_name: str, path: Path, labels: Sequence[str]) -> Predictor:
    """The checkpoint as it is; no cache."""
    dataset = DatasetKey(name="bench", task=task_name, labels=tuple(labels), fingerprint="bench", max_length=1)
    trial = Trial(
        trial_id="bench", candidate="bench", model=ModelSpec(reference=str(path)), dataset=dataset, method="none",
        hyperparameters={}, seed=0, weights_fingerprint=str(path),
    )  # fmt: skip
    return open_predictor(trial, None, torch.device("cpu"))


def prepared(task_name: str, path: Path, rows: pa.Table, labels: Sequence[str]) -> PreparedData:
    """Rows as an actor prepares them."""
    dataset = DatasetKey(name="bench", task=task_name, labels=tuple(labels), fingerprint="bench", max_length=1)
    return prepare_data(get_task(task_name), {"test": rows}, ModelSpec(reference=str(path)), dataset)


def scored(predictor: Predictor, rows: pa.Table, batches: Sequence[BatchSlice]) -> pa.Table:
    """Records of adjoining batches; no metrics."""
    read, dataset = predictor.read(rows), predictor.trial.dataset
    with torch.inference_mode():
        parts = [
            predictor.task.records(made, rows.slice(part.start, part.stop - part.start), dataset)
            for part, made in predictor.predictions(read, batches)
        ]
    return pa.concat_tables(parts)


def records_of(task_name: str, path: Path, rows: pa.Table, labels: Sequence[str]) -> pa.Table:
    """Rows prepared, the checkpoint opened, all batches forwarded."""
    data = prepared(task_name, path, rows, labels)
    return scored(opened(task_name, path, labels), data.test, data.plan.batches(0, data.plan.num_batches))


def against(
    name: str, ours: Callable[[], Told], theirs: Callable[[int], Told], sizes: Sequence[int], repeats: int, noun: str
) -> None:
    """Print the quickest of `repeats` runs of each side, the pipeline by the best of its batch sizes, in turn."""
    mine: list[Side] = []
    pipeline: list[tuple[Side, int]] = []
    for _ in range(repeats):
        mine.append(_timed(ours))
        pipeline += [(_timed(lambda size=size: theirs(size)), size) for size in sizes]
    own = min(mine, key=lambda side: side.seconds)
    other, size = min(pipeline, key=lambda pair: pair[0].seconds)
    count, differ = len(own.told), num_different(own.told, other.told)
    print(
        f"{name}: raybench {count / own.seconds:.2f} {noun}/s, "
        f"pipeline {count / other.seconds:.2f} (batches of {size}): "
        f"{other.seconds / own.seconds:.2f}x; {differ} of {count} differ",
        flush=True,
    )


def num_different(one: Told, other: Told) -> int:
    """Rows that were told different things."""
    return sum(told != other[row] for row, told in one.items())


def _timed(run: Callable[[], Told]) -> Side:
    began = time.process_time()
    told = run()
    return Side(time.process_time() - began, told)
