"""A CPU forwards few pictures at once, with channels last in memory, and all that are asked for are scored in order."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import ModelSpec, Trial
from raybench.core.pictures import image_array
from raybench.runtime.prepare import prepare_data
from raybench.runtime.training.feature_cache import FeatureCache
from raybench.runtime.training.features import extract
from raybench.runtime.trial import fit_trial, open_predictor
from raybench.runtime.workspace import Workspace
from raybench.tasks.catalog import get_task
from raybench.tasks.image_inputs import ImageExamples

CPU = torch.device("cpu")
SIDE, AT_ONCE = 300, 4
VIT = {
    "image_size": SIDE, "patch_size": 100, "num_channels": 1, "hidden_size": 12, "intermediate_size": 12,
    "num_hidden_layers": 1, "num_attention_heads": 1,
}  # fmt: skip


def pictures(count: int, side: int = SIDE) -> pa.Table:
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side), dtype=np.uint8)
    label = pa.array([place % 2 for place in range(count)], pa.int32())
    return pa.table({"id": [f"p{place}" for place in range(count)], "image": image_array(pixels), "label": label})


def watched(module: torch.nn.Module) -> list[torch.Tensor]:
    """The pictures of each forward pass to come."""
    seen: list[torch.Tensor] = []

    def see(module: Any, args: Any, given: dict[str, torch.Tensor]) -> None:
        seen.append(given["pixel_values"])

    module.register_forward_pre_hook(see, with_kwargs=True)
    return seen


@pytest.mark.parametrize(("side", "expected"), [(28, 512), (224, 8), (256, 6), (700, 1)])
def test_how_many_hangs_on_their_size(side: int, expected: int, make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(ModelSpec(reference="arch:vit", config=VIT | {"image_size": side}), task="image-classification")
    task = get_task("image-classification")
    examples = task.examples(task.prepare(pictures(2, side), trial.model, 1), trial.model, trial.dataset)
    assert isinstance(examples, ImageExamples)
    assert examples.together == expected


def test_scores_are_those_of_few_at_once(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(ModelSpec(reference="arch:vit", config=VIT), "full", task="image-classification", epochs=1)
    task, rows = get_task("image-classification"), pictures(10)
    data = prepare_data(task, {"train": rows, "test": rows}, trial.model, trial.dataset)
    assert data.plan.num_batches == 1
    predictor: Any = open_predictor(trial, fit_trial(trial, data.train, CPU), CPU)
    seen = watched(predictor._network.backbone)
    read = predictor.read(data.test)
    with torch.inference_mode():
        found = predictor.outputs(read, data.plan.batches(0, 1)[0])
        alone = [predictor._network(read.batch(np.array([row]), 12, CPU).inputs) for row in range(10)]
    assert [len(pixels) for pixels in seen[:3]] == [AT_ONCE, AT_ONCE, 2]
    assert all(pixels.is_contiguous(memory_format=torch.channels_last) for pixels in seen)
    torch.testing.assert_close(found, torch.cat(alone).float(), atol=1e-5, rtol=0)


def test_features_are_made_by_passes_of_that_size(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(ModelSpec(reference="arch:vit", config=VIT), task="image-classification")
    task = get_task("image-classification")
    examples = task.examples(task.prepare(pictures(6), trial.model, 1), trial.model, trial.dataset)
    network = Workspace(CPU).network(trial, task, own_head=False)
    seen = watched(network.backbone)
    assert extract(network, examples, FeatureCache(), CPU).shape == (6, 12)
    assert [len(pixels) for pixels in seen] == [AT_ONCE, AT_ONCE]
