"""Scoring a shard: whole planned batches through a predictor, one copy to the host, records and states."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import torch

from raybench.core import slice_column
from raybench.data.batches import BatchSlice
from raybench.metrics import MetricSet, StateSet
from raybench.runtime.scoring.predictor import Predictor
from raybench.runtime.training.determinism import deterministic_where_possible
from raybench.runtime.training.memory import peak_memory_bytes, reset_peak_memory

__all__ = ["ShardResult", "score_shard"]


class ShardResult(NamedTuple):
    """What a shard leaves behind.

    `seconds` is forward passes and records, without the metrics' states; features found in a cache are charged
    what they took when they were computed, so that the cost of a candidate does not depend on its neighbours.
    """

    states: StateSet
    records: pa.Table
    seconds: float
    num_examples: int
    peak_memory_bytes: int
    deterministic: bool = True  # False: torch has no deterministic algorithm for one of its operations


@torch.inference_mode()
def score_shard(
    predictor: Predictor, rows: pa.Table, batches: Sequence[BatchSlice], metric_set: MetricSet
) -> ShardResult:
    """Score adjoining batches of the plan; `rows` are all prepared rows in the plan's order."""
    reset_peak_memory(predictor.device)
    began, saved = time.perf_counter(), predictor.saved_seconds
    read = predictor.read(rows)
    start, stop = batches[0].start, batches[-1].stop
    scored = rows.slice(start, stop - start)

    def join() -> pa.Table:
        """Records of each batch, so that no more of a network's outputs need be held."""
        task, dataset = predictor.task, predictor.trial.dataset
        made = predictor.predictions(read, batches)
        return pa.concat_tables(
            [task.records(given, rows.slice(part.start, part.stop - part.start), dataset) for part, given in made]
        ).combine_chunks()

    records, deterministic = deterministic_where_possible(join, predictor.device)
    predictor.flush()
    for name in scored.column_names:
        if name.startswith(slice_column("")):
            records = records.append_column(name, scored.column(name))
    seconds = time.perf_counter() - began + predictor.saved_seconds - saved
    return ShardResult(
        states=metric_set.states(records),
        records=records,
        seconds=seconds,
        num_examples=records.num_rows,
        peak_memory_bytes=peak_memory_bytes(predictor.device),
        deterministic=deterministic,
    )
