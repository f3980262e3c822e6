"""A language model with the head it was saved with: logits of its vocabulary at the positions that are scored alone.

    network = LanguageNetwork(model)
    logits_SV = network({"input_ids": ids_WT, "attention_mask": mask_WT, "positions": positions_S})

Shapes: W model rows, T positions, S scored positions (row · T + position, ascending), V words of the vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
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

_WORDS = 4096  # of the vocabulary at a time: their logits of a forward pass stay in the cache
_MOST_LOGITS = {"cpu": 1 << 26, "cuda": 1 << 29}  # float32 logits of one forward pass: 256 MiB, 2 GiB
_MOST_TOKENS = {"cpu": 4096, "cuda": 32768}


class LanguageNetwork(Network):
    """The checkpoint's network of words; `causal` reads from left to right."""

    def __init__(self, model: nn.Module, *, causal: bool) -> None:
        super().__init__()
        self.backbone, self.head, self.causal = model, nn.Identity(), causal
        self.prompted_as = "CAUSAL_LM" if causal else "FEATURE_EXTRACTION"
        self._accepts = set(inspect.signature(model.forward).parameters)
        self._is_last: bool | None = None  # whether logits are what the output layer makes; None: not known yet

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """float32 [S, V]."""
        return self.at(inputs["positions"], self._known(inputs)).logits

    def at(self, positions_S: torch.Tensor, known: Mapping[str, Any]) -> Any:
        """The model's outputs, with `logits` float32 [S, V] of the positions alone.

        The output layer is given those alone: it is a fifth of a small model, and its logits are the most memory.
        """
        outputs, hidden_SH = self._forward(positions_S, known, lambda hidden_SH: hidden_SH)
        logits = outputs.logits[0] if hidden_SH is not None else _taken(outputs.logits, positions_S, known)
        outputs.logits = logits.float()
        return outputs

    @torch.no_grad()
    def losses(self, inputs: Mapping[str, torch.Tensor], ids_S: torch.Tensor) -> torch.Tensor | None:
        """−ln p of a token at each of the positions, float32 [S], holding a part of the logits at a time.

        None where all are needed: not on a CPU, or the model does something to them after its output layer.
        """
        positions_S, known = inputs["positions"], self._known(inputs)
        layer = _output_layer(self.backbone)
        if self._is_last is not False and type(layer) is nn.Linear and _is_plain(layer.weight):
            probe = None if self._is_last else _probe(layer)
            outputs, hidden_SH = self._forward(
                positions_S, known, lambda hidden_SH: hidden_SH[:0] if probe is None else probe
            )
            if hidden_SH is not None and probe is not None:
                self._is_last = bool(torch.equal(outputs.logits[0], layer(probe)))
            if hidden_SH is not None and self._is_last:
                return losses_in_parts(hidden_SH, layer, ids_S)
        return None

    def _known(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: value for name, value in inputs.items() if name in self._accepts}

    def _forward(
        self,
        positions_S: torch.Tensor,
        known: Mapping[str, Any],
        given: Callable[[torch.Tensor], torch.Tensor],
    ) -> tuple[Any, torch.Tensor | None]:
        """The model's outputs and the hidden states [S, H] at the positions; its output layer gets `given(them)`.

        None: it could not be got at, and the logits are those of all positions.
        """
        taken: list[torch.Tensor] = []

        def before(layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if not arguments or arguments[0].ndim != 3:
                return None
            taken.append(_taken(arguments[0], positions_S, known))
            return (given(taken[-1])[None], *arguments[1:])

        layer = _output_layer(self.backbone)
        handle = None if layer is None else layer.register_forward_pre_hook(before)
        try:
            outputs = self.backbone(**known)
        finally:
            if handle is not None:
                handle.remove()
        return outputs, taken[-1] if taken else None

    def draw(self, seed: int) -> None:
        return  # all of it came with the checkpoint, or was drawn when it was opened

    def head_parameters(self) -> list[nn.Parameter]:
        return []  # its words are no fresh head: a method that trains a part trains what it names


def losses_in_parts(hidden_SH: torch.Tensor, layer: nn.Linear, ids_S: torch.Tensor) -> torch.Tensor:
    """−ln p of `ids_S` by a linear output layer, a part of the vocabulary at a time in one buffer."""
    num_words = len(layer.weight)
    logits = hidden_SH.new_empty(len(hidden_SH), min(_WORDS, num_words))
    sums, own_S = [], torch.empty(len(hidden_SH))
    for start in range(0, num_words, _WORDS):
        stop = min(start + _WORDS, num_words)
        part_SV = logits[:, : stop - start]
        weight_HV, bias_V = layer.weight[start:stop].t(), layer.bias
        if bias_V is None:
            torch.mm(hidden_SH, weight_HV, out=part_SV)
        else:
            torch.addmm(bias_V[start:stop], hidden_SH, weight_HV, out=part_SV)
        sums.append(part_SV.logsumexp(dim=1))
        here = ((ids_S >= start) & (ids_S < stop)).nonzero()[:, 0]
        own_S[here] = part_SV[here, ids_S[here] - start]
    return torch.stack(sums).logsumexp(dim=0) - own_S


def _taken(states_WTH: torch.Tensor, positions_S: torch.Tensor, known: Mapping[str, Any]) -> torch.Tensor:
    """Those at the positions, [S, H]; what a method has put before the row (learned prompts) is stepped over."""
    width, found = known["input_ids"].shape[1], states_WTH.shape[1]
    return states_WTH.flatten(0, 1)[positions_S // width * found + positions_S % width + found - width]


def _is_plain(weight: torch.Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32


def _probe(layer: nn.Linear) -> torch.Tensor:
    """Hidden states [2, H] whose logits are so large that whatever is done to them after the output layer shows."""
    generator = torch.Generator().manual_seed(0)
    return 100 * torch.randn(2, layer.in_features, generator=generator)


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
