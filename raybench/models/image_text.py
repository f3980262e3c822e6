"""Models that put pictures and texts into one space (CLIP, SigLIP and their kind): a head of words on the image side.

    network = open_prompted(model, [["a photo of a cat."], ["a photo of a dog."]], seed=0)

A head of words needs no training: a label's weights are the mean of its prompts' normalised embeddings, times the scale
that the model was trained with (Radford et al. 2021, arXiv:2103.00020). Shapes: B pictures, C labels, H features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import normalize

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.backbone import open_pretrained
from raybench.models.configuration import open_config
from raybench.models.image_tower import ImageTower
from raybench.models.network import Network
from raybench.models.quiet import quiet
from raybench.models.tokenizer import open_tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["PromptedPictures", "open_prompted"]


class PromptedPictures(Network):
    """Cosines of pictures with labels in words, scaled; trained further, the words are where the head starts."""

    def __init__(self, tower: ImageTower, weight_CH: torch.Tensor, bias: float) -> None:
        super().__init__()
        self.backbone = tower
        self.head = nn.Linear(weight_CH.shape[1], weight_CH.shape[0])
        with torch.no_grad():
            self.head.weight.copy_(weight_CH)
            self.head.bias.fill_(bias)

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """float32 [B, H] of length 1."""
        dtype = next(parameter.dtype for parameter in self.backbone.parameters())
        hidden = self.backbone(pixel_values=inputs["pixel_values"].to(dtype)).last_hidden_state
        return normalize(hidden[:, 0].float(), dim=-1)

    def draw(self, seed: int) -> None:
        return  # all of it came with the checkpoint


def open_prompted(model: ModelSpec, prompts: Sequence[Sequence[str]], seed: int) -> PromptedPictures:
    """The image side with a head of each label's prompts, in eval mode.

    Raises:
        IncompatibleError: a model without a scale of its cosines.
        ModelError: weights or tokenizer that cannot be opened.
    """
    from transformers import AutoModel

    config = open_config(model)
    opened = open_pretrained(AutoModel, model, config, seed).eval()
    if not hasattr(opened, "logit_scale"):
        raise IncompatibleError(f"model {model.reference!r}: {config.model_type} has no scale for cosines of texts")
    texts = [text for of_label in prompts for text in of_label]
    with torch.inference_mode():
        embeddings = normalize(_embedded(opened, config, model, texts).float(), dim=-1)
    means = [part.mean(dim=0) for part in embeddings.split([len(of_label) for of_label in prompts])]
    weight_CH = normalize(torch.stack(means), dim=-1) * opened.logit_scale.detach().float().exp()
    bias = getattr(opened, "logit_bias", None)
    return PromptedPictures(ImageTower(opened), weight_CH.clone(), 0.0 if bias is None else float(bias.detach()))


def _embedded(opened: Any, config: PretrainedConfig, model: ModelSpec, texts: list[str]) -> torch.Tensor:
    """[texts, H]; SigLIP was trained on texts padded to its length, the others on a mask."""
    tokenizer: Any = open_tokenizer(model)
    longest = int(config.text_config.max_position_embeddings)
    padding = "max_length" if "siglip" in config.model_type else True
    with quiet():
        tokens = tokenizer(texts, padding=padding, truncation=True, max_length=longest, return_tensors="pt")
    known = signature(opened.get_text_features).parameters
    pooled: torch.Tensor = opened.get_text_features(
        **{name: value for name, value in tokens.items() if name in known}
    ).pooler_output
    return pooled
