"""Rows in, tensors out."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from raybench.core import DatasetKey, ModelSpec
from raybench.core.errors import DataError
from raybench.core.pictures import IMAGE
from raybench.models.tokenizer import open_tokenizer
from raybench.tasks import text_inputs
from raybench.tasks.catalog import get_task
from raybench.tasks.image_inputs import pixels, resize_images
from raybench.tasks.rows import ragged_column, ragged_keys, row_key

CPU = torch.device("cpu")
DATASET = DatasetKey(name="toy", task="text-classification", labels=("a", "b", "c"), fingerprint="toy", max_length=48)


def test_batches_are_what_the_tokenizer_itself_pads(tiny_bert: Path, make_texts: Callable[..., pa.Table]) -> None:
    model, task, rows = ModelSpec(reference=str(tiny_bert)), get_task("text-classification"), make_texts(20)
    prepared = task.prepare(rows, model, 16)
    batch = task.examples(prepared, model, DATASET).batch(np.array([3, 11, 4]), 16, CPU)
    texts = [rows.column("text")[i].as_py() for i in (3, 11, 4)]
    expected = open_tokenizer(model)(texts, truncation=True, max_length=16, padding="max_length", return_tensors="pt")
    assert torch.equal(batch.inputs["input_ids"], expected["input_ids"])
    assert torch.equal(batch.inputs["attention_mask"], expected["attention_mask"])
    assert batch.targets.tolist() == [rows.column("label")[i].as_py() for i in (3, 11, 4)]


def test_pairs_carry_token_types(tiny_bert: Path, make_texts: Callable[..., pa.Table]) -> None:
    model, task = ModelSpec(reference=str(tiny_bert)), get_task("text-classification")
    rows = make_texts(6).append_column("text_pair", make_texts(6, seed=1).column("text"))
    batch = task.examples(task.prepare(rows, model, 24), model, DATASET).batch(np.arange(6), 24, CPU)
    texts, pairs = rows.column("text").to_pylist(), rows.column("text_pair").to_pylist()
    expected = open_tokenizer(model)(
        texts, pairs, truncation=True, max_length=24, padding="max_length", return_tensors="pt",
        return_token_type_ids=True,
    )  # fmt: skip
    assert torch.equal(batch.inputs["input_ids"], expected["input_ids"])
    assert torch.equal(batch.inputs["token_type_ids"], expected["token_type_ids"])


def test_slices_and_chunks_of_prepared_rows_read_the_same(tiny_bert: Path, make_texts: Callable[..., pa.Table]) -> None:
    model, task = ModelSpec(reference=str(tiny_bert)), get_task("text-classification")
    prepared = task.prepare(make_texts(30), model, 32)
    whole = task.examples(prepared, model, DATASET).batch(np.arange(10, 20), 32, CPU)
    sliced = task.examples(prepared.slice(10, 10), model, DATASET).batch(np.arange(10), 32, CPU)
    chunked_rows = pa.concat_tables([prepared.slice(10, 4), prepared.slice(14, 6)])
    chunked = task.examples(chunked_rows, model, DATASET).batch(np.arange(10), 32, CPU)
    for other in (sliced, chunked):
        assert torch.equal(whole.inputs["input_ids"], other.inputs["input_ids"])
        assert torch.equal(whole.targets, other.targets)


def test_equal_inputs_have_equal_keys_and_others_do_not(tiny_bert: Path, make_texts: Callable[..., pa.Table]) -> None:
    model, task, rows = ModelSpec(reference=str(tiny_bert)), get_task("text-classification"), make_texts(40, repeat=4)
    keys = task.prepare(rows, model, 48).column("key").to_pylist()
    texts = rows.column("text").to_pylist()
    assert len(set(keys)) == len(set(texts)) < len(texts)


def test_keys_are_the_hashes_of_each_rows_own_bytes() -> None:
    draw = np.random.default_rng(0)
    first, second = ([draw.integers(9, size=size).tolist() for size in draw.integers(4, size=50)] for _ in range(2))
    for columns in ([first], [first, second]):
        expected = [row_key(*(np.array(ids, np.int32).tobytes() for ids in row)) for row in zip(*columns, strict=True)]
        assert ragged_keys(*map(ragged_column, columns)).to_pylist() == expected
        assert ragged_keys(*(ragged_column(one).slice(7, 20) for one in columns)).to_pylist() == expected[7:27]
    assert len(ragged_keys(ragged_column([]))) == 0


@pytest.mark.parametrize("paired", [False, True])
def test_rows_are_tokenised_some_at_a_time_and_alike(
    paired: bool, tiny_bert: Path, make_texts: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, task, rows = ModelSpec(reference=str(tiny_bert)), get_task("text-classification"), make_texts(20)
    if paired:
        rows = rows.append_column("text_pair", make_texts(20, seed=1).column("text"))
    whole = task.prepare(rows, model, 24)
    monkeypatch.setattr(text_inputs, "_ROWS", 3)
    assert task.prepare(rows, model, 24).equals(whole)
    torn = rows.set_column(rows.column_names.index("text"), "text", pa.array([*["a"] * 17, None, "b", None]))
    with pytest.raises(DataError, match="row 17 has no text"):
        task.prepare(torn, model, 24)


def test_texts_are_cut_to_the_positions_that_both_model_and_tokenizer_know(
    tiny_bert: Path, make_texts: Callable[..., pa.Table], tmp_path: Path
) -> None:
    task, rows = get_task("text-classification"), make_texts(30)
    few = ModelSpec(reference=str(tiny_bert), config={"max_position_embeddings": 20})
    assert max(task.prepare(rows, few, 48).column("length").to_pylist()) == 20
    tokenizer = open_tokenizer(ModelSpec(reference=str(tiny_bert)))
    tokenizer.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 12}))
    strict = ModelSpec(reference=str(tiny_bert), tokenizer=str(tmp_path))
    assert max(task.prepare(rows, strict, 48).column("length").to_pylist()) == 12
    keys = {task.processor_key(model) for model in (ModelSpec(reference=str(tiny_bert)), few, strict)}
    assert len(keys) == 3  # so none is given the rows of another


def image_rows(shapes: list[tuple[int, int, int]]) -> pa.Table:
    draw = np.random.default_rng(0)
    images = [
        {"height": h, "width": w, "channels": c, "data": draw.integers(0, 256, h * w * c, dtype=np.uint8).tobytes()}
        for h, w, c in shapes
    ]
    kind = pa.struct({"height": pa.int32(), "width": pa.int32(), "channels": pa.int32(), "data": pa.binary()})
    ids = [str(i) for i in range(len(images))]
    return pa.table({"id": ids, "image": pa.array(images, kind), "label": pa.array([0] * len(images), pa.int32())})


def test_images_of_the_models_shape_are_only_normalised() -> None:
    model = ModelSpec(reference="arch:vit", config={"image_size": 4, "patch_size": 2, "num_channels": 1})
    task, rows = get_task("image-classification"), image_rows([(4, 4, 1)] * 3)
    values = (
        task.examples(task.prepare(rows, model, 1), model, DATASET)
        .batch(np.array([2, 0]), 8, CPU)
        .inputs["pixel_values"]
    )
    raw = np.frombuffer(rows.column("image")[2].as_py()["data"], dtype=np.uint8).reshape(4, 4)
    assert values.shape == (2, 1, 4, 4)
    np.testing.assert_allclose(values[0, 0].numpy(), (raw / 255 - 0.5) / 0.5, atol=1e-6)


def test_images_of_any_shape_become_the_models() -> None:
    model = ModelSpec(reference="arch:vit", config={"image_size": 8, "patch_size": 4, "num_channels": 3})
    rows = image_rows([(8, 8, 3), (5, 9, 1), (12, 6, 4)])
    task = get_task("image-classification")
    prepared = task.prepare(rows, model, 1)
    batch = task.examples(prepared, model, DATASET).batch(np.arange(3), 8, CPU)
    assert batch.inputs["pixel_values"].shape == (3, 3, 8, 8)
    assert prepared.column("length").to_pylist() == [4, 4, 4]


def test_one_grey_pixel_among_coloured_pictures_is_brought_to_their_shape() -> None:
    colour = {"height": 2, "width": 3, "channels": 3, "data": bytes(range(18))}
    grey = {"height": 1, "width": 1, "channels": 1, "data": b"\x07"}
    for rows in ([colour, grey], [grey, colour]):
        found = pixels(resize_images(pa.table({"image": pa.array(rows, IMAGE)}), (2, 3), None, patch=1))
        assert found.shape == (2, 2, 3, 3)
        assert (found[rows.index(grey)] == 7).all()
        assert found[rows.index(colour)].tobytes() == colour["data"]
