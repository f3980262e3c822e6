"""Features of rows by a frozen network: each distinct input once, padded to its own bucket, then looked up.

    features_NH = extract(network, examples, cache, device)

On a CPU a row's features depend on (weights, row, bucket) alone, not on its batch-mates: measured with BERT, ViT
and ResNet shapes; so they are kept by the row's key and serve every head, seed and training-set size.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from raybench.batches import plan_batches
from raybench.models.network import Network
from raybench.tasks.task import Examples
from raybench.training.feature_cache import FeatureCache

__all__ = ["batch_features", "extract"]


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
        began = time.perf_counter()
        batch = examples.batch(np.fromiter(missing.values(), dtype=np.int64), padded, device)
        features = network.features(batch.inputs).cpu().numpy()
        seconds = np.full(len(missing), (time.perf_counter() - began) / len(missing))
        cache.put(padded, list(missing), features, seconds)
    return torch.from_numpy(cache.get(padded, keys)).to(device)
