"""Features of rows by a frozen network: each distinct input once, padded to its own bucket, then looked up.

    features_NH = extract(network, examples, cache, device)
    part = extract_part(network, examples, batches, cache, device)    # some of the rows, for another process's cache

A row's features must depend on (weights, row, bucket) alone, so that they can be kept by the row's key and serve every
head, seed and training-set size. For transformers on a CPU they do, whatever the batch (tests/training holds a test),
but for products of few rows, which have kernels of their own: on a Xeon with AVX-512 those of fewer than 16 tokens,
with MKL's AVX2 code of fewer than 56. So a forward pass has some tokens at least, filled up with copies. A convolution
takes another algorithm for another number of rows, and so may a GPU: there every forward pass has the same number of
rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from raybench.data.batches import plan_batches
from raybench.models.network import Network
from raybench.runtime.training.feature_cache import FeatureCache
from raybench.tasks.task import Examples

__all__ = ["batch_features", "depends_on_rows", "extract", "extract_part", "together"]

_ROWS, _TOKENS = 64, 4096  # of a forward pass of fixed size
_LEAST_TOKENS = 128  # of any other


def extract(network: Network, examples: Examples, cache: FeatureCache, device: torch.device) -> torch.Tensor:
    """float32 [N, H] on the device, in the rows' order."""
    plan = plan_batches(examples.lengths, keys=examples.keys)
    parts = []
    for start, stop, padded in plan.batches(0, plan.num_batches):
        parts.append(batch_features(network, examples, plan.order[start:stop], padded, cache, device))
    cache.flush()
    out = torch.empty_like(torch.cat(parts))
    out[torch.from_numpy(plan.order.astype(np.int64)).to(device)] = torch.cat(parts)
    return out


def extract_part(
    network: Network,
    examples: Examples,
    batches: Sequence[tuple[np.ndarray, int]],
    cache: FeatureCache,
    device: torch.device,
) -> pa.Table:
    """The distinct inputs of some batches (rows and what they are padded to), as `FeatureCache.include` takes them."""
    inputs: dict[tuple[int, bytes], None] = {}
    for rows, padded in batches:
        batch_features(network, examples, rows, padded, cache, device)
        inputs |= dict.fromkeys((padded, key) for key in examples.keys[rows].tolist())
    cache.flush()
    return cache.part(list(inputs))


@torch.inference_mode()
def batch_features(
    network: Network, examples: Examples, rows: np.ndarray, padded: int, cache: FeatureCache, device: torch.device
) -> torch.Tensor:
    """float32 [B, H] of some rows: cached ones looked up, the others forwarded once each."""
    keys = examples.keys[rows].tolist()
    missing: dict[bytes, int] = {}
    for key, row in zip(keys, rows.tolist(), strict=True):
        if key not in missing and not cache.has(padded, key):
            missing[key] = row
    cache.save(padded, [key for key in dict.fromkeys(keys) if key not in missing])
    if missing:
        new = np.fromiter(missing.values(), dtype=np.int64)
        began = time.perf_counter()
        features = _forward(network, examples, new, padded, device)
        seconds = np.full(len(missing), (time.perf_counter() - began) / len(missing))
        cache.put(padded, list(missing), features, seconds)
    return torch.from_numpy(cache.get(padded, keys)).to(device)


def _forward(network: Network, examples: Examples, rows: np.ndarray, padded: int, device: torch.device) -> np.ndarray:
    if not depends_on_rows(network, device):
        least = _LEAST_TOKENS // padded if padded > 1 else 1  # a picture's rows are its patches
        return _filled(network, examples, rows, max(least, len(rows)), padded, device)
    size = max(1, min(_ROWS, _TOKENS // padded, together(examples, device) or _ROWS))
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    return np.concatenate([_filled(network, examples, chunk, size, padded, device) for chunk in chunks])


def _filled(
    network: Network, examples: Examples, rows: np.ndarray, size: int, padded: int, device: torch.device
) -> np.ndarray:
    """Features of some rows, forwarded with copies of the first up to `size`."""
    filled = np.concatenate([rows, np.repeat(rows[:1], size - len(rows))])
    return network.features(examples.batch(filled, padded, device).inputs)[: len(rows)].cpu().numpy()


def together(examples: Examples, device: torch.device) -> int | None:
    """How many rows this device should forward at once; None: as many as there are."""
    return getattr(examples, "together", None) if device.type == "cpu" else None


def depends_on_rows(network: Network, device: torch.device) -> bool:
    """Whether the bits of a row's features may change with the number of rows beside it."""
    if device.type != "cpu":
        return True
    convolves = any(isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d) for m in network.modules())
    return convolves and not network.rows_alone
