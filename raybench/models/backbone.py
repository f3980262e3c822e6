"""Backbones: transformers models without a head, with pretrained weights or with seeded random ones."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError, ModelError, summary
from raybench.core.identity import seed_from
from raybench.models.configuration import from_scratch, open_config, reads_both
from raybench.models.files import model_directory, require_safe_weights
from raybench.models.image_tower import ImageTower
from raybench.models.quiet import quiet

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = [
    "Lacking",
    "StaticEmbeddings",
    "feature_size",
    "is_encoder",
    "open_backbone",
    "open_partly",
    "open_pretrained",
    "torch_dtype",
]

_DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
    "int8": torch.float32,  # opened in float32, its linear layers quantised for scoring
}


class StaticEmbeddings(nn.Module):
    """A text model's word embeddings alone: no positions, no layers, nearly free, a strong baseline."""

    def __init__(self, word_embeddings: nn.Embedding) -> None:
        super().__init__()
        self.word_embeddings = word_embeddings

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> _Hidden:
        return _Hidden(self.word_embeddings(input_ids))


class _Hidden:
    def __init__(self, last_hidden_state: torch.Tensor) -> None:
        self.last_hidden_state = last_hidden_state


def torch_dtype(model: ModelSpec) -> torch.dtype:
    """The dtype the weights are opened in."""
    if model.dtype not in _DTYPES:
        raise ModelError(f"model {model.reference!r}: dtype {model.dtype!r}: {', '.join(_DTYPES)} would do")
    return _DTYPES[model.dtype]


def feature_size(backbone: nn.Module) -> int:
    """How many features a row has."""
    if isinstance(backbone, StaticEmbeddings):
        return backbone.word_embeddings.embedding_dim
    if isinstance(backbone, ImageTower):
        return backbone.num_features
    config: Any = backbone.config
    size = getattr(config, "hidden_size", None) or getattr(config, "hidden_sizes", [None])[-1]
    if size is None:
        raise IncompatibleError(f"{type(backbone).__name__} does not say how many features it has (hidden_size)")
    return int(size)


def is_encoder(backbone: nn.Module) -> bool:
    """Whether it is a network of transformers that encodes and does nothing else: no decoder, nothing causal."""
    from transformers import PreTrainedModel

    if not isinstance(backbone, PreTrainedModel):
        return False
    config: Any = backbone.config
    crosses = getattr(config, "is_encoder_decoder", False) or getattr(config, "add_cross_attention", False)
    return not crosses and not any(getattr(module, "is_causal", False) for module in backbone.modules())


def open_backbone(model: ModelSpec, seed: int) -> nn.Module:
    """The encoder in eval mode, without a pooler; `seed` decides random weights alone.

    Raises:
        ModelError: weights that cannot be opened or that lack part of the network.
        IncompatibleError: static pooling of a model without word embeddings.
    """
    from transformers import AutoModel

    config = open_config(model)
    backbone = open_pretrained(AutoModel, model, config, seed)
    if reads_both(config):
        return ImageTower(backbone).eval()
    if getattr(config, "is_encoder_decoder", False):
        backbone = backbone.get_encoder()
    if getattr(backbone, "pooler", None) is not None and "add_pooling_layer" in signature(type(backbone)).parameters:
        backbone.pooler = None
    if model.pooling == "static":
        words = backbone.get_input_embeddings()
        if not isinstance(words, nn.Embedding):
            raise IncompatibleError(f"model {model.reference!r}: pooling static needs word embeddings; it has none")
        backbone = StaticEmbeddings(words)
    return backbone.eval()


def open_pretrained(auto: Any, model: ModelSpec, config: PretrainedConfig, seed: int) -> Any:
    """`auto.from_pretrained`, or `auto.from_config` for random weights, safely, silently and seeded.

    Raises:
        ModelError: weights that cannot be opened, or that lack part of the network.
    """
    network, lacking = open_partly(auto, model, config, seed)
    if lacking.mismatched:
        name, saved, wanted = min(lacking.mismatched)
        raise ModelError(
            f"model {model.reference!r}: its weights are not of config.json's sizes: {name} is {list(saved)}, "
            f"not {list(wanted)}"
        )
    missing = [name for name in lacking.missing if "pooler" not in name]
    if missing:
        raise ModelError(
            f"model {model.reference!r}: its weights lack {len(missing)} of the network's parameters, such as "
            f"{missing[0]}; check config.json against the weights, or say 'init: scratch'"
        )
    return network


class Lacking(NamedTuple):
    """What of a network its checkpoint did not give, by name: nothing at all, or another size (saved, wanted)."""

    missing: list[str]
    mismatched: list[tuple[str, Any, Any]]


def open_partly(auto: Any, model: ModelSpec, config: PretrainedConfig, seed: int) -> tuple[Any, Lacking]:
    """As `open_pretrained`, but whoever calls it judges what the checkpoint lacks."""
    directory = model_directory(model)
    dtype = torch_dtype(model)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed_from("weights", seed))
        if directory is None or from_scratch(model):
            return auto.from_config(config).to(dtype), Lacking([], [])
        require_safe_weights(model, directory)
        try:
            network, loading = auto.from_pretrained(
                directory,
                config=config,
                dtype=dtype,
                use_safetensors=None if model.allow_pickle else True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # judged by name: transformers would only say that there are some
            )
        except Exception as error:  # what is in the files decides what transformers stumbles over
            raise ModelError(f"model {model.reference!r}: its weights cannot be opened: {summary(error)}") from error
    return network, Lacking(sorted(loading["missing_keys"]), list(loading["mismatched_keys"]))
