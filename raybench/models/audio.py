"""Networks that read windows of sound: pooled features and a head, the checkpoint's own head, letters at each position.

Inputs: `features` [R, T, …] (time first, zeros behind a window's own steps; of a fixed size as the model has it),
`sizes` int64 [R] (a window's own steps), `counts` int64 [B] on the host (windows of each example).

On a CPU a window is forwarded alone and without padding: some hundred positions keep a core busy, and what comes out is
what the window gives by itself, to the bit. Elsewhere windows are forwarded together: with a mask where the model was
trained with one, else those of equal size (HuBERT and wav2vec 2.0 with group norm read padding as sound).
Shapes: R windows, B examples, T steps, P positions, H features, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.models.audio_processor import AudioProcessor
from raybench.models.network import CheckpointNetwork, PooledNetwork, TokenNetwork
from raybench.models.pooling import pool

__all__ = ["Heard", "LetterCheckpoint", "LetterNetwork", "SoundClassifier", "SoundPooledNetwork", "hear", "of_examples"]

Inputs = Mapping[str, torch.Tensor]


class Heard(NamedTuple):
    """What a module makes of windows: values [R, P, C] with zeros behind each one's own `positions`, int64 [R]."""

    values: torch.Tensor
    positions: torch.Tensor


def hear(call: Callable[..., torch.Tensor], module: Any, inputs: Inputs, processor: AudioProcessor) -> Heard:
    """`call(**what the model takes)` [r, P, C] of all windows, whichever are forwarded together."""
    features, sizes = inputs["features"], inputs["sizes"]
    base = getattr(module, "base_model", module)
    masked = processor.masked and not processor.fixed and hasattr(base, "_get_feat_extract_output_lengths")
    alone = features.device.type == "cpu" and not module.training
    parts, counts, places = [], [], []
    for rows in _together(sizes, alone=alone, whole=masked or processor.fixed):
        own = features[rows]
        given: dict[str, torch.Tensor] = {}
        if not processor.fixed:
            own = own[:, : int(sizes[rows].max())]
            if masked:
                steps = torch.arange(own.shape[1], device=own.device)
                given["attention_mask"] = (steps < sizes[rows][:, None]).long()
        values = call(**{processor.input_name: own, **given})
        count = sizes.new_full((len(rows),), values.shape[1])
        if masked:
            count = base._get_feat_extract_output_lengths(sizes[rows]).to(count)
        elif processor.fixed and features.shape[-1] % values.shape[1] == 0:  # positions in the order of time
            step = features.shape[-1] // values.shape[1]
            count = (-(-sizes[rows] // step)).clamp(1, values.shape[1])
        parts.append(values)
        counts.append(count)
        places.append(rows)
    order = torch.argsort(torch.cat(places))
    longest = max(values.shape[1] for values in parts)
    padded = [nn.functional.pad(values, (0, 0, 0, longest - values.shape[1])) for values in parts]
    return Heard(torch.cat(padded)[order], torch.cat(counts)[order])


def of_examples(heard: Heard, counts_B: torch.Tensor) -> Heard:
    """What was heard in windows, one after the other, of each example: values [B, P, C]."""
    if len(counts_B) == len(heard.values):
        return heard
    ends = torch.cumsum(counts_B, 0).tolist()
    own = [values[:count] for values, count in zip(heard.values, heard.positions.tolist(), strict=True)]
    joined = [torch.cat(own[end - count : end]) for end, count in zip(ends, counts_B.tolist(), strict=True)]
    positions = heard.positions.new_tensor([len(values) for values in joined])
    return Heard(nn.utils.rnn.pad_sequence(joined, batch_first=True), positions)


def _together(sizes: torch.Tensor, *, alone: bool, whole: bool) -> Iterator[torch.Tensor]:
    """Windows that are forwarded together, by their places."""
    everyone = torch.arange(len(sizes), device=sizes.device)
    if alone:
        yield from everyone.split(1)
    elif whole:
        yield everyone
    else:
        for size in sizes.unique():
            yield everyone[sizes == size]


class SoundPooledNetwork(PooledNetwork):
    """The hidden states of all of an example's windows, pooled into one vector, and a linear head."""

    rows_alone = True
    prompted_as = ""

    def __init__(
        self, backbone: nn.Module, processor: AudioProcessor, pooling: str, *, num_outputs: int, seed: int
    ) -> None:
        super().__init__(backbone, pooling, num_outputs=num_outputs, seed=seed)
        self.processor = processor

    def features(self, inputs: Inputs) -> torch.Tensor:
        """float32 [B, H]."""
        values, positions = _hidden(self.backbone, inputs, self.processor)
        if values.device.type == "cpu":  # each by itself: zeros behind a window change the order of a sum
            own = zip(values.split(1), positions.tolist(), strict=True)
            pooled = torch.cat([pool(one[:, :count], None, self.pooling) for one, count in own])
        else:
            mask = (torch.arange(values.shape[1], device=values.device) < positions[:, None]).long()
            pooled = pool(values, mask, self.pooling)
        return _joined(pooled, positions, inputs)


class SoundClassifier(CheckpointNetwork):
    """A checkpoint with the head it was saved with; of an example's windows the mean, by their lengths."""

    rows_alone = True
    prompted_as = ""

    def __init__(self, model: nn.Module, processor: AudioProcessor, order: Sequence[int] | None) -> None:
        super().__init__(model, order)
        self.processor = processor

    def features(self, inputs: Inputs) -> torch.Tensor:
        """float32 [B, own outputs]."""

        def call(**given: Any) -> torch.Tensor:
            return self.backbone(**_cast(given, self.backbone)).logits.float()[:, None]

        values, _ = hear(call, self.backbone, inputs, self.processor)
        return _joined(values[:, 0], inputs["sizes"], inputs)


class LetterNetwork(TokenNetwork):
    """A backbone and a fresh head that puts out letters at each position; outputs are `Heard`, [R, P, C]."""

    rows_alone = True
    prompted_as = ""

    def __init__(
        self, backbone: nn.Module, spec: ModelSpec, processor: AudioProcessor, *, num_outputs: int, seed: int
    ) -> None:
        super().__init__(backbone, num_outputs=num_outputs, seed=seed)
        self.spec, self.processor = spec, processor

    def features(self, inputs: Inputs) -> Any:
        return _hidden(self.backbone, inputs, self.processor)

    def forward(self, inputs: Inputs) -> Any:
        values, positions = self.features(inputs)
        return Heard(self.head(values), positions)


class LetterCheckpoint(CheckpointNetwork):
    """A checkpoint whose own head puts out letters at each position; outputs are `Heard`, [R, P, C]."""

    rows_alone = True
    prompted_as = ""

    def __init__(self, model: nn.Module, spec: ModelSpec, processor: AudioProcessor) -> None:
        super().__init__(model, None)
        self.spec, self.processor = spec, processor

    def features(self, inputs: Inputs) -> Any:
        def call(**given: Any) -> torch.Tensor:
            return self.backbone(**_cast(given, self.backbone)).logits.float()

        return hear(call, self.backbone, inputs, self.processor)


def _hidden(backbone: nn.Module, inputs: Inputs, processor: AudioProcessor) -> Heard:
    def call(**given: Any) -> torch.Tensor:
        return backbone(**_cast(given, backbone)).last_hidden_state.float()

    return hear(call, backbone, inputs, processor)


def _joined(values_RH: torch.Tensor, weights_R: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    """[B, H]: the mean of each example's windows by their weights; of one window itself, to the bit."""
    counts = inputs["counts"]
    if len(counts) == len(values_RH):
        return values_RH
    owner = torch.repeat_interleave(torch.arange(len(counts)), counts).to(values_RH.device)
    weight = weights_R.to(values_RH)
    share = weight / weight.new_zeros(len(counts)).index_add_(0, owner, weight)[owner]
    return values_RH.new_zeros((len(counts), values_RH.shape[1])).index_add_(0, owner, values_RH * share[:, None])


def _cast(given: Mapping[str, torch.Tensor], module: nn.Module) -> dict[str, torch.Tensor]:
    """Inputs in the dtype of the weights."""
    dtype = next((parameter.dtype for parameter in module.parameters()), torch.float32)
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in given.items()}
