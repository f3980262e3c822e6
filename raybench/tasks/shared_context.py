"""Several continuations of one context: the context is forwarded once, and what all contexts begin with once for all.

    losses = continuation_losses(network, continuations, device)     # float64, of all tokens

The keys and values of a context are kept (transformers' cache) and repeated for each of its continuations. Their last
digits may differ from those of a whole row, for products of another shape round otherwise; tests hold how little.
Shapes: B contexts, W continuations, P positions that all contexts share, M other positions of contexts, K of
continuations.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from raybench.metrics.records import token_nll
from raybench.models.language import LanguageNetwork
from raybench.tasks.language import Continuations, padded_rows, whole_fours

__all__ = ["continuation_losses", "shares_context"]

_LEAST_SHARED = 8  # tokens that all contexts begin with, from which on they are forwarded apart
_MOST_KEYS = {"cpu": 1 << 13, "cuda": 1 << 17}  # positions of repeated caches at a time


def shares_context(network: LanguageNetwork) -> bool:
    """Whether the network's cache can be repeated: a plain transformer, told positions, all of whose layers see all."""
    from transformers import PreTrainedModel

    model = network.backbone
    if not network.causal or not isinstance(model, PreTrainedModel):  # compiled, or with learned positions around it
        return False
    names = set(inspect.signature(model.forward).parameters)
    return {"position_ids", "attention_mask", "use_cache"} <= names and _cache_name(names) is not None


def continuation_losses(
    network: LanguageNetwork, continuations: Continuations, device: torch.device
) -> np.ndarray | None:
    """−ln p of each token of the continuations, one after the other, float64; None: a cache cannot be repeated."""
    contexts, texts, owner = continuations
    sizes = np.array([len(one) for one in contexts])
    longest = np.zeros(len(contexts), dtype=np.int64)
    np.maximum.at(longest, owner, [len(one) for one in texts])
    keys = (sizes + longest) * np.bincount(owner, minlength=len(contexts))
    parts = []
    for first, last in _groups(keys, _MOST_KEYS.get(device.type, 1 << 13)):
        part = _forward(network, continuations.of(first, last), device)
        if part is None:
            return None
        parts.append(part)
    return np.concatenate(parts)


def _groups(keys: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Contexts [first, last) whose repeated caches hold at most so many positions."""
    groups, start, held = [], 0, 0
    for place, count in enumerate(keys.tolist()):
        if place > start and held + count > most:
            groups.append((start, place))
            start, held = place, 0
        held += count
    return [*groups, (start, len(keys))]


def _forward(network: LanguageNetwork, continuations: Continuations, device: torch.device) -> np.ndarray | None:
    contexts, texts, owner = continuations
    sizes_W = np.array([len(one) for one in texts])
    starts_W = np.cumsum(sizes_W) - sizes_W
    targets_S = torch.from_numpy(np.concatenate(texts).astype(np.int64)).to(device)
    nll_S = torch.empty(len(targets_S), dtype=torch.float64, device=device)

    def put(scored: np.ndarray, logits_SV: torch.Tensor) -> None:
        where = torch.from_numpy(scored).to(device)
        nll_S[where] = token_nll(logits_SV, targets_S[where]).double()

    shared = _shared(contexts)
    rest = [one[shared:] for one in contexts]
    sizes_B = np.array([len(one) for one in rest])
    width = whole_fours(int(sizes_B.max()))
    cache: Any = None
    if shared:
        ids = contexts[0][None, :shared].astype(np.int64)
        given = [ids, np.ones_like(ids), np.arange(shared)[None], np.zeros(0, np.int64)]
        cache = _step(network, given, None, device).cache
        if not _repeatable(cache):
            return None
        cache.batch_select_indices(torch.zeros(len(rest), dtype=torch.int64, device=device))
    ids_BM, mask_BM = padded_rows(rest, width, 0)
    seen_BM = np.concatenate([np.ones((len(rest), shared), dtype=np.int64), mask_BM], axis=1)
    position_ids = shared + np.arange(width)[None].repeat(len(rest), 0)
    ends = np.arange(len(rest)) * width + sizes_B - 1  # what stands there foretells the first token of each choice
    stepped = _step(network, [ids_BM, seen_BM, position_ids, ends], cache, device)
    cache = stepped.cache
    if not _repeatable(cache):
        return None
    put(starts_W, stepped.logits[torch.from_numpy(owner).to(device)])
    longer = np.flatnonzero(sizes_W > 1)
    if len(longer) == 0:
        return nll_S.cpu().numpy()
    owner = owner[longer]
    cache.batch_select_indices(torch.from_numpy(owner).to(device))
    inputs = [texts[index][:-1] for index in longer.tolist()]
    length = whole_fours(int(sizes_W.max()) - 1)
    ids_WK, mask_WK = padded_rows(inputs, length, 0)
    seen_WK = np.concatenate([seen_BM[owner], mask_WK], axis=1)
    position_ids = shared + sizes_B[owner][:, None] + np.arange(length)[None]
    given = [ids_WK, seen_WK, position_ids, np.flatnonzero(mask_WK)]
    followed = np.concatenate([starts_W[index] + np.arange(1, sizes_W[index]) for index in longer.tolist()])
    put(followed, _step(network, given, cache, device).logits)
    return nll_S.cpu().numpy()


class _Stepped(NamedTuple):
    logits: torch.Tensor
    cache: Any


def _step(network: LanguageNetwork, given: Sequence[np.ndarray], cache: Any, device: torch.device) -> _Stepped:
    """Forward ids, mask (over the cache too) and positions; logits are those of the positions given last."""
    name = _cache_name(set(inspect.signature(network.backbone.forward).parameters))
    assert name is not None
    ids, mask, position_ids, positions = (torch.from_numpy(array).to(device) for array in given)
    known = {"input_ids": ids, "attention_mask": mask, "position_ids": position_ids, "use_cache": True, name: cache}
    outputs = network.at(positions, known)
    return _Stepped(outputs.logits, getattr(outputs, name))


def _cache_name(names: set[str]) -> str | None:
    """What the release calls it; transformers renames it on the way to v6."""
    return next((name for name in ("cache", "past_key_values") if name in names), None)


def _repeatable(cache: Any) -> bool:
    """Whether every layer keeps the keys and values of all positions: no sliding window, no running state."""
    from transformers.cache_utils import DynamicLayer

    layers = getattr(cache, "layers", None) or ()
    return len(layers) > 0 and all(type(layer) is DynamicLayer for layer in layers)


def _shared(rows: Sequence[np.ndarray]) -> int:
    """How many tokens all rows begin with and go on from, where that is worth a forward pass of its own."""
    if len(rows) < 2:
        return 0
    shortest = min(len(row) for row in rows) - 1
    head = np.stack([row[:shortest] for row in rows])
    differs = np.flatnonzero((head != head[0]).any(axis=0))
    count = int(differs[0]) if len(differs) else shortest
    return count if count >= _LEAST_SHARED else 0
