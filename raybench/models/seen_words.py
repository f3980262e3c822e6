"""A fit trains the embeddings of those words alone that its rows hold; of all others AdamW would only take the decay.

    seen = train_seen_words(network.backbone, words)      # in place; None where that cannot be done
    seen.decay(1 - rate * weight_decay)                   # what a step does to every word that no row holds
    seen.whole()                                          # all words, as training every one of them would leave them

A word that no row holds never has a gradient, and so no moments: each step multiplies it by 1 - rate × decay, and all
such words by the same. So gradients, moments and their updates are those of the words that occur, a few thousand of
MiniLM's 30,522 or of XLM-R's 250,002. Shapes: V words, U of them seen, H features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["SeenWords", "train_seen_words"]


class SeenWords(nn.Module):
    """In place of an nn.Embedding: `weight` [U, H] is trained, and any word can be looked up in eval mode."""

    left: torch.Tensor

    def __init__(self, whole: nn.Embedding, words: np.ndarray) -> None:
        super().__init__()
        device = whole.weight.device
        self._whole = whole.weight.detach()  # [V, H]; no parameter and no buffer: a snapshot would copy it
        self._seen = torch.from_numpy(words.astype(np.int64)).to(device)
        self._places = torch.zeros(whole.num_embeddings, dtype=torch.int64, device=device)
        self._places[self._seen] = torch.arange(len(words), device=device)
        self._padding = whole.padding_idx
        seen = np.flatnonzero(words == self._padding)
        self._padding_place = int(seen[0]) if len(seen) else None
        self._now: torch.Tensor | None = None
        self.weight = nn.Parameter(self._whole[self._seen], requires_grad=whole.weight.requires_grad)
        self.register_buffer("left", torch.ones((), dtype=torch.float64, device=device))  # of words that no row holds

    def decay(self, factor: float) -> None:
        """After a step that trained the words."""
        self.left *= factor

    def whole(self) -> torch.Tensor:
        """[V, H], a copy."""
        return (self._whole * self.left).index_copy_(0, self._seen, self.weight.detach())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        if self.training:
            self._now = None
            return nn.functional.embedding(self._places[ids], self.weight, self._padding_place)
        if self._now is None:  # until training goes on
            self._now = self.whole()
        return nn.functional.embedding(ids, self._now, self._padding)


def train_seen_words(backbone: nn.Module, words: np.ndarray) -> SeenWords | None:
    """Put `SeenWords` in the place of the word embeddings, in place; `words` [U] are sorted and different.

    None, and nothing is changed, where the embeddings are not plain or others share them, such as a head over words.
    """
    from transformers import PreTrainedModel

    if not isinstance(backbone, PreTrainedModel):
        return None
    whole: Any = backbone.get_input_embeddings()
    if type(whole) is not nn.Embedding or whole.max_norm is not None or whole.scale_grad_by_freq or whole.sparse:
        return None
    everywhere = [one for _, one in backbone.named_parameters(remove_duplicate=False) if one is whole.weight]
    if len(everywhere) > 1 or len(words) >= whole.num_embeddings:
        return None
    seen = SeenWords(whole, words).train(whole.training)
    backbone.set_input_embeddings(seen)
    return seen
