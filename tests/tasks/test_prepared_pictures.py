"""Pictures of more pixels than are kept stay as they are and are seen the same; also in chunks and slices."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from raybench.core import ModelSpec
from raybench.core.large_columns import gather_table
from raybench.core.pictures import ENCODED, IMAGE
from raybench.tasks import prepared_pictures
from raybench.tasks.augmentation import AugmentOptions
from raybench.tasks.image_inputs import ImageExamples, model_images, raw_pictures
from raybench.tasks.rows import row_key
from raybench.tasks.sized_pictures import SizedPictures, sized_pictures

CPU = torch.device("cpu")
SMALL = {"size": {"height": 8, "width": 12}}
PROCESSORS = {
    "none": None,
    "ViTImageProcessor": SMALL,
    "EfficientNetImageProcessor": SMALL | {"rescale_offset": True},  # float32
}


@pytest.fixture(params=["none", "ViTImageProcessor", "EfficientNetImageProcessor"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> ModelSpec:
    from transformers import ViTConfig

    ViTConfig(image_size=8, patch_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(
        tmp_path
    )
    if (settings := PROCESSORS[request.param]) is not None:
        (tmp_path / "preprocessor_config.json").write_text(
            json.dumps(settings | {"image_processor_type": request.param})
        )
    return ModelSpec(reference=str(tmp_path))


def rows(encoded: bool, count: int = 21) -> pa.Table:
    draw = np.random.default_rng(0)
    arrays = [draw.integers(0, 256, (*draw.integers(9, 30, 2), [1, 3][n % 2]), dtype=np.uint8) for n in range(count)]
    names = ("height", "width", "channels")
    cells = [dict(zip(names, one.shape, strict=True), data=one.tobytes()) for one in arrays]
    if encoded:
        cells = [{"path": f"{n}.png", "bytes": png(one)} for n, one in enumerate(arrays)]
    image = pa.array(cells, ENCODED if encoded else IMAGE)
    return pa.table({"id": [str(n) for n in range(count)], "image": image, "label": pa.array([0] * count, pa.int32())})


def png(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(array.squeeze()).save(data, "PNG")
    return data.getvalue()


def looked_at(prepared: pa.Table, model: ModelSpec, indices: np.ndarray) -> torch.Tensor:
    examples = ImageExamples(prepared, model, np.zeros(prepared.num_rows, np.int32), AugmentOptions())
    return examples.batch(indices, 0, CPU).inputs["pixel_values"]


@pytest.mark.parametrize("encoded", [True, False])
def test_a_model_sees_the_same_where_files_are_kept(
    encoded: bool, model: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, some = rows(encoded), np.array([20, 3, 3, 0])
    kept = model_images(raw, model)
    monkeypatch.setattr(prepared_pictures, "_MOST_BYTES", 1000)
    files = model_images(raw, model)
    assert files["image"].equals(raw["image"])
    assert kept["image"].type == IMAGE
    for name in ("id", "label", "length", "key"):
        assert files[name].equals(kept[name])
    assert torch.equal(looked_at(files, model, some), looked_at(kept, model, some))


@pytest.mark.parametrize("most", [10, 1 << 30])
def test_places_in_pictures_are_seen_at_each_ones_own_size(
    most: int, model: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, some = rows(encoded=True), np.arange(21)[::-2].copy()
    expected = sized_pictures(raw, model)
    monkeypatch.setattr(prepared_pictures, "_MOST_BYTES", most)
    found = sized_pictures(raw, model)
    assert found["key"].equals(expected["key"])
    groups, wanted = (SizedPictures(one, model).groups(some, CPU) for one in (found, expected))
    for one, other in zip(groups, wanted, strict=True):
        assert np.array_equal(one.places, other.places)
        assert torch.equal(one.pixels, other.pixels)


@pytest.mark.parametrize("most", [10, 1 << 30])
def test_chunks_and_slices_are_read_alike(most: int, model: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_pictures, "_MOST_BYTES", most)
    prepared = model_images(rows(encoded=True), model)
    order = np.random.default_rng(1).permutation(21)
    parts = [gather_table(prepared, part) for part in np.array_split(order, 4)]
    chunked = pa.concat_tables(parts).slice(2, 15)
    assert chunked["image"].num_chunks > 1
    assert torch.equal(looked_at(chunked, model, np.arange(15)), looked_at(prepared, model, order[2:17]))


def test_a_baseline_has_pictures_as_they_are_in_any_chunks() -> None:
    raw = rows(encoded=True)
    found = raw_pictures(pa.concat_tables([raw.slice(0, 4), raw.slice(4)]))
    assert found["image"].equals(raw["image"])
    assert found["key"].to_pylist() == [row_key(cell["bytes"]) for cell in raw["image"].to_pylist()]
