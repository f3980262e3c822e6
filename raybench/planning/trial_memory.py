"""The most memory that the process or the device of a trial needs, told from its sizes."""

from __future__ import annotations

from raybench.planning.rates import Rates
from raybench.planning.trial_seconds import TrialShape

__all__ = ["memory_bytes"]

_BYTES = 4  # of a float32
_SCORED_TOKENS = 4096  # of a batch, at most (`data/batches.py`)
_FITTED_TOKENS = {"cpu": 2048, "cuda": 32768}  # of a micro-batch, as a fit begins (`runtime/training/attempt.py`)
_KEPT_FLOATS = 34  # of a token's hidden vector in a layer, for the backward pass (Korthikanti et al. 2022)
_HEAD_WIDTH = 64  # of attention, as nearly all have it
_OPTIMIZED = 4  # weights, gradients and AdamW's two moments


def memory_bytes(shape: TrialShape, rates: Rates, device: str) -> float:
    """Beside what a process holds before it has opened anything; a fit that does not fit begins anew with less."""
    size = shape.size
    weights = size.parameters * _BYTES
    scoring = weights + _SCORED_TOKENS * (3 * size.hidden + size.inner) * _BYTES
    steps = shape.passes and not shape.on_features
    attention = 5 * shape.tokens * size.hidden / _HEAD_WIDTH
    kept = _FITTED_TOKENS[device] * size.layers * (_KEPT_FLOATS * size.hidden + attention) * _BYTES / 2
    fitting = weights * (_OPTIMIZED if shape.trains_all else 1) + kept if steps else 0.0
    return rates.memory_bytes + max(scoring, fitting)
