"""Convolutions of a network that scores put out what they did, but for rounding, and what trains never sees them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from raybench.core import ModelSpec, Trial
from raybench.models.convolutions import ready_convolutions
from raybench.runtime.workspace import Workspace, network_key
from raybench.tasks.catalog import get_task

CPU = torch.device("cpu")
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
MOBILEVIT = {
    "hidden_sizes": [8, 8, 8], "neck_hidden_sizes": [4, 4, 4, 4, 4, 4, 8], "num_attention_heads": 2,
    "initializer_range": 0.1,
}  # fmt: skip
WAV2VEC = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2, "initializer_range": 0.2,
}  # fmt: skip


def settled(model: Any, seed: int = 0) -> Any:
    """In eval mode, with batch norms that have seen something."""
    draw = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=draw)
            module.running_var.uniform_(0.5, 2, generator=draw)
    return model.eval().requires_grad_(False)


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


class Pictures(nn.Module):
    """What a picture network of transformers looks like from outside."""

    config = SimpleNamespace(num_channels=2)

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.norm(self.conv(pixel_values)).relu()}


class AlsoReadBefore(Pictures):
    """The convolution's own output counts as well."""

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        made = self.conv(pixel_values)
        return {"logits": self.norm(made) + made}


class CalledTwice(Pictures):
    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.norm(self.conv(pixel_values)) + self.conv(-pixel_values)}


class BehindSomething(Pictures):
    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.norm(self.conv(pixel_values).relu())}


class ReadsNoSuchPicture(Pictures):
    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        if pixel_values.shape[-1] != 48:
            raise ValueError("want 48 pixels")
        return super().forward(pixel_values)


@pytest.mark.parametrize(
    "model",
    [
        lambda: transformers.ResNetForImageClassification(transformers.ResNetConfig(**RESNET)),
        lambda: transformers.MobileViTForImageClassification(transformers.MobileViTConfig(**MOBILEVIT)),
        Pictures,
    ],
)
def test_batch_norms_are_folded_and_pictures_told_the_same(model: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    before = settled(model())
    after = copy.deepcopy(before)
    ready_convolutions(after)
    assert norms(before) > norms(after) == 0
    draw = torch.Generator().manual_seed(1)
    pictures = torch.rand((3, before.config.num_channels, 96, 96), generator=draw)
    with torch.inference_mode():
        told, expected = (one(pixel_values=pictures)["logits"] for one in (after, before))
    torch.testing.assert_close(told, expected, rtol=1e-4, atol=1e-5)
    assert not torch.equal(told, expected)


@pytest.mark.parametrize("kind", [AlsoReadBefore, CalledTwice, BehindSomething, ReadsNoSuchPicture])
def test_a_batch_norm_that_cannot_be_folded_stays(kind: type[Pictures]) -> None:
    torch.manual_seed(0)
    before = settled(kind())
    after = copy.deepcopy(before)
    ready_convolutions(after)
    assert norms(after) == 1
    pictures = torch.rand((3, 2, 48, 48), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        told, expected = (one(pixel_values=pictures)["logits"] for one in (after, before))
    torch.testing.assert_close(told, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_sounds_are_heard_the_same(norm: str) -> None:
    torch.manual_seed(0)
    before: Any = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(**WAV2VEC, feat_extract_norm=norm))
    before = before.eval().requires_grad_(False)
    after = copy.deepcopy(before)
    ready_convolutions(after)
    sound = torch.randn((1, 4000), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        told, expected = (one(sound).logits for one in (after, before))
        again = before(sound).logits
    torch.testing.assert_close(told, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(again, expected), "readying one network changed another that it was copied from"


def test_what_a_convolution_over_time_does_is_what_it_did() -> None:
    draw = torch.Generator().manual_seed(0)
    for options in ({"stride": 3}, {"padding": 2, "dilation": 2}, {"groups": 2, "bias": False}):
        before = nn.Sequential(nn.Conv1d(4, 6, 5, **options)).requires_grad_(False)
        after = copy.deepcopy(before)
        ready_convolutions(after)
        sound = torch.randn((2, 4, 50), generator=draw)
        assert type(after[0]) is not nn.Conv1d
        torch.testing.assert_close(after(sound), before(sound), rtol=1e-5, atol=1e-5)


def test_what_is_scored_and_what_is_trained_are_two_networks_of_one_size(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(ModelSpec(reference="arch:resnet", config=RESNET), "full", task="image-classification")
    task, workspace = get_task("image-classification"), Workspace(CPU)
    scored = workspace.network(trial, task, own_head=True)
    base = workspace.network(trial, task, own_head=True, for_scoring=False)
    assert norms(base) > norms(scored) == 0
    assert scored.num_parameters == base.num_parameters
    keys = [network_key(trial, CPU, own_head=True, for_scoring=for_scoring) for for_scoring in (True, False)]
    assert keys[0] != keys[1]


def test_features_to_start_training_from_are_those_that_heads_read(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(ModelSpec(reference="arch:resnet", config=RESNET), "frozen", task="image-classification")
    task, workspace = get_task("image-classification"), Workspace(CPU)
    heads = workspace.network(trial, task, own_head=False)
    assert workspace.network(trial, task, own_head=False, for_scoring=False) is heads
    alone = Workspace(CPU).network(trial, task, own_head=False, for_scoring=False)
    pictures = {"pixel_values": torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))}
    with torch.inference_mode():
        assert np.array_equal(heads.features(pictures), alone.features(pictures))
