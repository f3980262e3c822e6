"""A language model with the head it was saved with: logits of its vocabulary at the positions that are scored alone.

    network = LanguageNetwork(model)
    logits_SV = network({"input_ids": ids_WT, "attention_mask": mask_WT, "positions": positions_S})

Shapes: W model rows, T positions, S scored positions (row · T + position, ascending), V words of the vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError
from raybench.models.backbone import open_pretrained
from raybench.models.configuration import open_config
from raybench.models.network import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LanguageNetwork", "forward_chunks", "open_language_model"]

_MOST_LOGITS = {"cpu": 1 << 26, "cuda": 1 << 29}  # float32 logits of one forward pass: 256 MiB, 2 GiB
_MOST_TOKENS = {"cpu": 4096, "cuda": 32768}


class LanguageNetwork(Network):
    """The checkpoint's network of words; `causal` reads from left to right."""

    def __init__(self, model: nn.Module, *, causal: bool) -> None:
        super().__init__()
        self.backbone, self.head, self.causal = model, nn.Identity(), causal
        self.prompted_as = "CAUSAL_LM" if causal else "FEATURE_EXTRACTION"
        self._accepts = set(inspect.signature(model.forward).parameters)

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """float32 [S, V]."""
        known = {name: value for name, value in inputs.items() if name in self._accepts}
        return self.at(inputs["positions"], known).logits

    def at(self, positions_S: torch.Tensor, known: Mapping[str, Any]) -> Any:
        """The model's outputs, with `logits` float32 [S, V] of the positions alone.

        The output layer is given those alone: it is a fifth of a small model, and its logits are the most memory.
        Positions that a method has put before the row (learned prompts) are stepped over.
        """
        width = known["input_ids"].shape[1]
        taken = False

        def take(hidden_WTH: torch.Tensor) -> torch.Tensor:
            found = hidden_WTH.shape[1]
            return hidden_WTH.flatten(0, 1)[positions_S // width * found + positions_S % width + found - width]

        def before(layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            nonlocal taken
            if not arguments or arguments[0].ndim != 3:
                return None
            taken = True
            return (take(arguments[0])[None], *arguments[1:])

        layer = _output_layer(self.backbone)
        handle = None if layer is None else layer.register_forward_pre_hook(before)
        try:
            outputs = self.backbone(**known)
        finally:
            if handle is not None:
                handle.remove()
        outputs.logits = (outputs.logits[0] if taken else take(outputs.logits)).float()
        return outputs

    def draw(self, seed: int) -> None:
        return  # all of it came with the checkpoint, or was drawn when it was opened

    def head_parameters(self) -> list[nn.Parameter]:
        return []  # its words are no fresh head: a method that trains a part trains what it names


def _output_layer(backbone: nn.Module) -> nn.Module | None:
    """What makes logits of hidden states; None where it cannot be got at, as in a compiled network."""
    outer: Any = backbone
    model = outer.get_base_model() if hasattr(outer, "get_base_model") else outer
    return model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None


def open_language_model(model: ModelSpec, auto_class: str, seed: int, *, causal: bool) -> LanguageNetwork:
    """The checkpoint by one of transformers' classes, such as AutoModelForCausalLM, in eval mode."""
    import transformers

    config = open_config(model)
    opened = open_pretrained(getattr(transformers, auto_class), model, config, seed)
    if model.pooling == "static":
        raise IncompatibleError(f"model {model.reference!r}: pooling static has no words to predict; leave it out")
    return LanguageNetwork(opened.eval(), causal=causal)


def forward_chunks(num_rows: int, width: int, vocabulary: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """Model rows [start, stop) to forward at once, by the memory of their logits; the same for every batch alike."""
    kind = device.type if device.type in _MOST_LOGITS else "cpu"
    most = min(_MOST_TOKENS[kind], _MOST_LOGITS[kind] // vocabulary) // width
    step = max(1, most)
    for start in range(0, num_rows, step):
        yield start, min(start + step, num_rows)
