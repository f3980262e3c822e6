"""Pixels are those of the checkpoint's own image processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import DatasetKey, ModelSpec
from raybench.core.errors import ModelError
from raybench.core.pictures import IMAGE
from raybench.tasks.catalog import get_task
from raybench.tasks.image_inputs import pixels

DATASET = DatasetKey(name="d", task="image-classification", labels=("a", "b"), fingerprint="f", max_length=1)
SMALL = {"size": {"height": 12, "width": 20}}
EDGE = {"size": {"shortest_edge": 16}, "crop_size": {"height": 12, "width": 12}}


def save(folder: Path, settings: dict[str, Any], **config: Any) -> ModelSpec:
    from transformers import ViTConfig, ViTForImageClassification

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    ViTForImageClassification(ViTConfig(image_size=8, patch_size=4, **small, **config)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return ModelSpec(reference=str(folder))


def pictures(channels: int = 3) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    sizes = ((40, 30), (12, 20), (17, 90), (64, 64))
    return [draw.integers(0, 256, (height, width, channels), dtype=np.uint8) for height, width in sizes]


def rows(arrays: list[np.ndarray]) -> pa.Table:
    images = [
        dict(zip(("height", "width", "channels"), array.shape, strict=True), data=array.tobytes()) for array in arrays
    ]
    label = pa.array([0] * len(arrays), pa.int32())
    return pa.table({"id": [str(i) for i in range(len(arrays))], "image": pa.array(images, IMAGE), "label": label})


@pytest.mark.parametrize(
    ("kind", "settings", "dtype"),
    [
        ("ViTImageProcessor", SMALL, np.uint8),
        ("ViTImageProcessor", SMALL | {"do_normalize": False, "resample": 3}, np.uint8),
        ("ViTImageProcessor", SMALL | {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3]}, np.uint8),
        ("ViTImageProcessor", SMALL | {"do_rescale": False, "do_normalize": False}, np.uint8),
        ("CLIPImageProcessor", EDGE, np.uint8),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 16}, "crop_pct": 0.5}, np.uint8),
        ("BeitImageProcessor", SMALL | {"do_center_crop": True, "crop_size": {"height": 8, "width": 8}}, np.uint8),
        ("EfficientNetImageProcessor", SMALL | {"rescale_offset": True}, np.float32),
    ],
)
def test_pixels_are_those_of_the_checkpoints_processor(
    tmp_path: Path, kind: str, settings: dict[str, Any], dtype: type
) -> None:
    from transformers import AutoImageProcessor

    model, arrays = save(tmp_path, settings | {"image_processor_type": kind}), pictures()
    task = get_task("image-classification")
    prepared = task.prepare(rows(arrays), model, 1)
    assert pixels(prepared).dtype == dtype
    batch = task.examples(prepared, model, DATASET).batch(np.arange(4), 8, torch.device("cpu"))
    found = batch.inputs["pixel_values"]
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    expected = np.stack(processor(images=arrays, input_data_format="channels_last")["pixel_values"])
    assert (found.dtype, found.shape) == (torch.float32, expected.shape)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_grey_pictures_are_read_by_a_grey_checkpoint(tmp_path: Path) -> None:
    settings = SMALL | {"image_processor_type": "ViTImageProcessor", "image_mean": [0.2], "image_std": [0.4]}
    model, task = save(tmp_path, settings, num_channels=1), get_task("image-classification")
    prepared = task.prepare(rows([*pictures(1), *pictures(3)]), model, 1)
    values = task.examples(prepared, model, DATASET).batch(np.arange(8), 8, torch.device("cpu")).inputs["pixel_values"]
    assert values.shape == (8, 1, 12, 20)
    expected = (pictures(1)[1][:, :, 0] / 255 - 0.2) / 0.4
    np.testing.assert_allclose(values[1, 0].numpy(), expected, atol=1e-5)


def test_a_processor_that_leaves_sizes_apart_is_told(tmp_path: Path) -> None:
    settings = EDGE | {"image_processor_type": "CLIPImageProcessor", "do_center_crop": False}
    with pytest.raises(ModelError, match="want one size for all"):
        get_task("image-classification").prepare(rows(pictures()), save(tmp_path, settings), 1)


def test_a_processor_that_nobody_knows_is_named_with_its_file(tmp_path: Path) -> None:
    model = save(tmp_path, SMALL | {"image_processor_type": "NoImageProcessor"})
    with pytest.raises(ModelError, match=r"preprocessor_config\.json: no image processor of transformers"):
        get_task("image-classification").prepare(rows(pictures()), model, 1)


def test_models_of_other_processors_share_no_prepared_rows(tmp_path: Path) -> None:
    task = get_task("image-classification")
    kinds = [SMALL, SMALL | {"image_mean": [0, 0, 0]}, SMALL | {"resample": 3}]
    keys = {task.processor_key(save(tmp_path / str(place), kind)) for place, kind in enumerate(kinds)}
    assert len(keys) == 3
