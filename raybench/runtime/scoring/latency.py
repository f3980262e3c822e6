"""How long a single example takes, from prepared row to outputs, after warm-up."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from raybench.data.batches import BatchSlice, bucket
from raybench.runtime.scoring.predictor import Predictor

__all__ = ["Latency", "measure_latency"]

_WARM_UP = 3
_FEWEST = 5


class Latency(NamedTuple):
    """Milliseconds of half and of 95 % of the examples."""

    p50_ms: float
    p95_ms: float


@torch.inference_mode()
def measure_latency(predictor: Predictor, rows: pa.Table, *, samples: int = 30, most_seconds: float = 1.0) -> Latency:
    """Over up to `samples` rows spread evenly over `rows`, one at a time, nothing looked up that was computed before.

    A slow model is measured on fewer rows: at least five, until `most_seconds` have passed. What is compiled on a GPU
    is warmed up for each length: its first passes of a shape record it.
    """
    device = predictor.device
    read = predictor.read(rows)
    places = np.linspace(0, rows.num_rows - 1, num=samples).astype(int)
    places = places[np.random.default_rng(0).permutation(samples)].tolist()  # those measured first are spread too
    lengths = bucket(rows.column("length").to_numpy())

    def seconds_of(place: int) -> float:
        began = time.perf_counter()
        predictor.outputs(read, BatchSlice(place, place + 1, int(lengths[place])), fresh=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    warm_up = places[:_WARM_UP]
    if predictor.trial.model.compile and device.type == "cuda":
        first = {int(lengths[place]): place for place in places}
        warm_up = list(first.values()) * _WARM_UP
    for place in warm_up:
        seconds_of(place)
    seconds = []
    start = time.perf_counter()
    for place in places:
        seconds.append(seconds_of(place))
        if len(seconds) >= _FEWEST and time.perf_counter() - start > most_seconds:
            break
    p50, p95 = np.quantile(np.array(seconds) * 1e3, [0.5, 0.95]).tolist()
    return Latency(p50, p95)
