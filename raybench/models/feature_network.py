"""A network of pictures by which others' pictures are compared: what its last layer reads, and its classes.

    seen = open_feature_network(ModelSpec(reference="google/vit-base-patch16-224"))
    features_BH, logits_BC = seen.both(inputs)              # logits None: it has no classes

Features are what the last linear layer of a classifier is given, as Inception's pool3 is; of a network without a
classifier its pooled hidden states. Shapes: B pictures, H features, C classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.backbone import open_backbone, open_pretrained
from raybench.models.configuration import classifies_pictures, open_config
from raybench.models.network import Network, PooledNetwork
from raybench.models.pooling import pooling_of

__all__ = ["FeatureNetwork", "open_feature_network"]


class FeatureNetwork(Network):
    """`forward` gives features; nothing of it is ever trained."""

    def __init__(self, backbone: nn.Module, layer: nn.Linear | None) -> None:
        super().__init__()
        self.backbone, self.head, self._layer = (
            backbone,
            nn.Identity(),
            [layer],
        )  # in a list: it is part of the backbone
        self._accepts = set(inspect.signature(backbone.forward).parameters)

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """float32 [B, H]."""
        return self.both(inputs)[0]

    def both(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Features float32 [B, H], and logits float32 [B, C] where there are classes."""
        (layer,) = self._layer
        if layer is None:
            assert isinstance(self.backbone, PooledNetwork)
            return self.backbone.features(inputs), None
        given: list[torch.Tensor] = []
        handle = layer.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
        try:
            outputs: Any = self.backbone(**{name: value for name, value in inputs.items() if name in self._accepts})
        finally:
            handle.remove()
        return given[-1].flatten(1).float(), outputs.logits.float()

    def draw(self, seed: int) -> None:
        return


def open_feature_network(model: ModelSpec) -> FeatureNetwork:
    """The network in eval mode.

    Raises:
        ModelError: it cannot be opened.
        IncompatibleError: its classifier does not end in a linear layer.
    """
    from transformers import AutoModelForImageClassification

    if not classifies_pictures(model):
        return FeatureNetwork(PooledNetwork(open_backbone(model, 0), pooling_of(model), num_outputs=1, seed=0), None)
    opened = open_pretrained(AutoModelForImageClassification, model, open_config(model), 0).eval()
    layers = [module for module in opened.modules() if isinstance(module, nn.Linear)]
    if not layers or layers[-1].out_features != opened.config.num_labels:
        raise IncompatibleError(f"model {model.reference!r}: its classifier does not end in a linear layer")
    return FeatureNetwork(opened, layers[-1])
