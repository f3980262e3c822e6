"""How long a single example takes, from prepared row to outputs, after warm-up."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from raybench.batches import BatchSlice, bucket
from raybench.scoring.predictor import Predictor

__all__ = ["Latency", "measure_latency"]


class Latency(NamedTuple):
    """Milliseconds of half and of 95 % of the examples."""

    p50_ms: float
    p95_ms: float


@torch.inference_mode()
def measure_latency(predictor: Predictor, rows: pa.Table, *, samples: int = 30, warm_up: int = 3) -> Latency:
    """Over `samples` rows spread evenly over `rows`, one at a time, nothing looked up that was computed before."""
    read = predictor.read(rows)
    places = np.linspace(0, rows.num_rows - 1, num=samples).astype(int).tolist()
    lengths = bucket(rows.column("length").to_numpy())
    seconds = []
    for place in [*places[:warm_up], *places]:
        began = time.perf_counter()
        predictor.outputs(read, BatchSlice(place, place + 1, int(lengths[place])), fresh=True)
        if predictor.device.type == "cuda":
            torch.cuda.synchronize(predictor.device)
        seconds.append(time.perf_counter() - began)
    p50, p95 = np.quantile(np.array(seconds[warm_up:]) * 1e3, [0.5, 0.95]).tolist()
    return Latency(p50, p95)
