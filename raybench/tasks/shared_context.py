"""Several continuations of one context: the context is forwarded once, and what all contexts begin with once for all.

    losses = continuation_losses(network, contexts, continuations, owner, device)     # float64, of all tokens

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
from raybench.tasks.language import padded_rows, whole_fours

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
    network: LanguageNetwork,
    contexts: Sequence[np.ndarray],
    continuations: Sequence[np.ndarray],
    owner: np.ndarray,
    device: torch.device,
) -> np.ndarray | None:
    """−ln p of every token of the continuations, one after the other, float64; None where a cache cannot be repeated.

    `owner` [W] says whose context each continues, in ascending order; every context has two tokens or more.
    """
    sizes = np.array([len(one) for one in contexts])
    longest = np.zeros(len(contexts), dtype=np.int64)
    np.maximum.at(longest, owner, [len(one) for one in continuations])
    keys = (sizes + longest) * np.bincount(owner, minlength=len(contexts))
    parts = []
    for first, last in _groups(keys, _MOST_KEYS.get(device.type, 1 << 13)):
        places = np.flatnonzero((owner >= first) & (owner < last))
        some = [continuations[place] for place in places.tolist()]
        part = _forward(network, contexts[first:last], some, owner[places] - first, device)
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


def _forward(
    network: LanguageNetwork,
    contexts: Sequence[np.ndarray],
    continuations: Sequence[np.ndarray],
    owner: np.ndarray,
    device: torch.device,
) -> np.ndarray | None:
    before = [one[:-1] for one in contexts]  # the last token of a context is the first input of its continuations
    shared = _shared(before)
    rest = [one[shared:] for one in before]
    sizes_B = np.array([len(one) for one in rest])
    width = whole_fours(int(sizes_B.max())) if sizes_B.any() else 0
    cache: Any = None
    none = torch.zeros(0, dtype=torch.int64, device=device)
    if shared:
        ids = torch.from_numpy(before[0][None, :shared].astype(np.int64)).to(device)
        cache = _step(network, ids, torch.ones_like(ids), torch.arange(shared, device=device)[None], none, None).cache
        if not _repeatable(cache):
            return None
        cache.batch_select_indices(torch.zeros(len(rest), dtype=torch.int64, device=device))
    seen_BP = np.ones((len(rest), shared), dtype=np.int64)
    mask_BM = (np.arange(width) < sizes_B[:, None]).astype(np.int64)
    if width:
        positions = shared + np.arange(width)[None].repeat(len(rest), 0)
        given = [padded_rows(rest, width, 0)[0], np.concatenate([seen_BP, mask_BM], axis=1), positions]
        ids, mask, places = (torch.from_numpy(array).to(device) for array in given)
        cache = _step(network, ids, mask, places, none, cache).cache
        if not _repeatable(cache):
            return None
    cache.batch_select_indices(torch.from_numpy(owner).to(device))
    last = [contexts[whose][-1:] for whose in owner.tolist()]
    inputs = [np.concatenate([one, own[:-1]]) for one, own in zip(last, continuations, strict=True)]
    sizes_W = np.array([len(one) for one in inputs])
    length = whole_fours(int(sizes_W.max()))
    mask_WK = (np.arange(length) < sizes_W[:, None]).astype(np.int64)
    seen = np.concatenate([seen_BP, mask_BM], axis=1)[owner]
    positions = shared + sizes_B[owner][:, None] + np.arange(length)[None]
    scored = np.flatnonzero(mask_WK)
    given = [padded_rows(inputs, length, 0)[0], np.concatenate([seen, mask_WK], axis=1), positions, scored]
    ids, mask, places, where = (torch.from_numpy(array).to(device) for array in given)
    targets = torch.from_numpy(np.concatenate(continuations).astype(np.int64)).to(device)
    logits_SV = _step(network, ids, mask, places, where, cache).logits
    nll: np.ndarray = token_nll(logits_SV, targets).double().cpu().numpy()
    return nll


class _Stepped(NamedTuple):
    logits: torch.Tensor
    cache: Any


def _step(network: LanguageNetwork, ids: Any, mask: Any, positions: Any, scored: Any, cache: Any) -> _Stepped:
    name = _cache_name(set(inspect.signature(network.backbone.forward).parameters))
    assert name is not None
    known = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "use_cache": True, name: cache}
    outputs = network.at(scored, known)
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
    """How many tokens all rows begin with, where that is worth a forward pass of its own."""
    if len(rows) < 2:
        return 0
    shortest = min(len(row) for row in rows)
    head = np.stack([row[:shortest] for row in rows])
    differs = np.flatnonzero((head != head[0]).any(axis=0))
    count = int(differs[0]) if len(differs) else shortest
    return count if count >= _LEAST_SHARED else 0
