"""The most memory that the process or the device of a trial needs, told from its sizes.

Fitted to the peaks of actors with float32 on a CPU, 64 rows of 64 tokens (2026-11-26): a head on MiniLM 0.87 GB, LoRA
1.26, all of it 1.55; of 256 tokens LoRA 2.43, all 2.45; a random network of 768 features and 6 layers 2.85. It tells 1
to 19 % more than these. An actor that does several networks in turn keeps some of the first beside the second. Moments
are told of all words, though a fit of texts has those of the words that occur (0.13 GB less for MiniLM).
"""

from __future__ import annotations

from raybench.planning.rates import Rates
from raybench.planning.trial_seconds import TrialShape

__all__ = ["memory_bytes"]

_BYTES = 4  # of a float32
_FITTED_TOKENS = {"cpu": 2048, "cuda": 32768}  # of a micro-batch, as a fit begins (`runtime/training/attempt.py`)
_KEPT_BYTES = 68  # of a token's features in a layer, for the backward pass (Korthikanti et al. 2022: 34 in 16 bits)
_SCORE_BYTES = {"cpu": 28, "cuda": 10}  # of a score of attention: 10 are kept, and a CPU's allocator gives few back
_OPENING_BYTES = {"cpu": 1.5e8, "cuda": 0.0}  # modules that a network and its tokenizer import
_OPENED = {"cpu": 2, "cuda": 1}  # weights, and their file as it is mapped
_OPTIMIZED = 3  # beside the weights: gradients and AdamW's two moments
_SLACK = {"cpu": 1.2, "cuda": 1.0}  # what an allocator holds over what is in use


def memory_bytes(shape: TrialShape, rates: Rates, device: str, *, batch_tokens: int) -> float:
    """With what a process holds before it has opened anything; a fit that does not fit begins anew with less."""
    size = shape.size
    if not size.parameters:
        return rates.memory_bytes
    weights = size.parameters * _BYTES
    opened = _OPENING_BYTES[device] + _OPENED[device] * weights
    scores = shape.tokens * size.heads  # of a token in a layer
    forwarded = batch_tokens * (3 * size.hidden + size.inner + 2 * scores) * _BYTES
    stepped = 0.0
    if shape.passes and not shape.on_features:
        kept = size.layers * (_KEPT_BYTES * size.hidden + _SCORE_BYTES[device] * scores)
        stepped = _FITTED_TOKENS[device] * kept + (_OPTIMIZED * weights if shape.trains_all else 0.0)
    return rates.memory_bytes + _SLACK[device] * (opened + max(forwarded, stepped))
