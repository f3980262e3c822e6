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
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import open_predictor
from raybench.tasks.catalog import get_task

__all__ = ["Side", "against", "records_of"]

Told = dict[str, Any]  # what each row was told, by id


class Side(NamedTuple):
    """Processor seconds of the quickest of several runs, and what it told."""

    seconds: float
    told: Told


def records_of(task_name: str, path: Path, rows: pa.Table, labels: Sequence[str]) -> pa.Table:
    """Rows prepared, the checkpoint opened, all batches forwarded; no cache, no metrics."""
    dataset = DatasetKey(name="bench", task=task_name, labels=tuple(labels), fingerprint="bench", max_length=1)
    model = ModelSpec(reference=str(path))
    trial = Trial(
        trial_id="bench", candidate="bench", model=model, dataset=dataset, method="none", hyperparameters={}, seed=0,
        weights_fingerprint=str(path),
    )  # fmt: skip
    task = get_task(task_name)
    data = prepare_data(task, {"test": rows}, model, dataset)
    predictor = open_predictor(trial, None, torch.device("cpu"))
    read = predictor.read(data.test)
    with torch.inference_mode():
        parts = [
            task.records(made, data.test.slice(part.start, part.stop - part.start), dataset)
            for part, made in predictor.predictions(read, data.plan.batches(0, data.plan.num_batches))
        ]
    return pa.concat_tables(parts)


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
    count, differ = len(own.told), sum(one != other.told[row] for row, one in own.told.items())
    print(
        f"{name}: raybench {count / own.seconds:.2f} {noun}/s, "
        f"pipeline {count / other.seconds:.2f} (batches of {size}): "
        f"{other.seconds / own.seconds:.2f}x; {differ} of {count} differ",
        flush=True,
    )


def _timed(run: Callable[[], Told]) -> Side:
    began = time.process_time()
    told = run()
    return Side(time.process_time() - began, told)
