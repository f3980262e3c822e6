"""Pixels are counted at the raw size: the classes of transformers' image-segmentation pipeline, by a direct count."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from PIL import Image

from raybench.core import DatasetKey, ModelSpec
from raybench.core.errors import DataError, IncompatibleError, ModelError
from raybench.core.pictures import IMAGE
from raybench.data.masks import decode_masks
from raybench.job import load_job
from raybench.metrics import MetricSet
from raybench.models.image_processor import open_image_processor
from raybench.planning.plan import make_plan
from raybench.tasks import pixel_classes
from raybench.tasks.catalog import get_task
from raybench.tasks.pixel_classes import best_classes, class_of_number, resized_mask
from raybench.tasks.task import LossOptions
from tests.tasks.as_planned import check
from tests.tasks.conftest import SEGFORMER
from tests.tasks.trials import make_trial, records_of

CPU = torch.device("cpu")
LABELS = ("sky", "sea", "land", "town")
TASK = "semantic-segmentation"
RAW_SIZES = ((40, 56), (64, 64), (31, 90), (40, 56))


def picture(array: np.ndarray) -> dict[str, Any]:
    height, width, channels = array.shape
    return {"height": height, "width": width, "channels": channels, "data": array.tobytes()}


def some_rows(sizes: tuple[tuple[int, int], ...] = RAW_SIZES, num_classes: int = 4) -> pa.Table:
    draw = np.random.default_rng(5)
    images = [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    masks = [draw.integers(0, num_classes, (*size, 1), dtype=np.uint8) for size in sizes]
    for mask in masks:
        mask[:5, :7] = 255
    ids = [f"r{place}" for place in range(len(sizes))]
    columns = {
        name: pa.array(list(map(picture, arrays)), IMAGE) for name, arrays in (("image", images), ("mask", masks))
    }
    return pa.table({"id": ids, **columns})


def arrays(rows: pa.Table, name: str) -> list[np.ndarray]:
    return [
        np.frombuffer(one["data"], np.uint8).reshape(one["height"], one["width"], one["channels"])
        for one in rows[name].to_pylist()
    ]


def counted(prediction: np.ndarray, mask: np.ndarray, num_classes: int = 4) -> list[list[int]]:
    """Intersection, predicted and target pixels by class, one pixel after the other."""
    counts = np.zeros((3, num_classes), dtype=int)
    for found, there in zip(prediction.ravel().tolist(), mask.ravel().tolist(), strict=True):
        if there != 255:
            counts[0, there] += found == there
            counts[1, found] += 1
            counts[2, there] += 1
    return counts.tolist()


def of_records(records: pa.Table) -> list[list[list[int]]]:
    columns = (records[name].to_pylist() for name in ("intersection", "predicted_pixels", "target_pixels"))
    return [list(row) for row in zip(*columns, strict=True)]


def save(folder: Path, kind: str = "segformer", **settings: Any) -> ModelSpec:
    """A random checkpoint of one of the architectures, with its own kind of processor."""
    import transformers as t

    names = {"num_labels": 4, "id2label": dict(enumerate(LABELS)), "label2id": {n: i for i, n in enumerate(LABELS)}}
    square = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2}
    square |= {"intermediate_size": 32}
    torch.manual_seed(3)
    if kind == "segformer":
        model: Any = t.SegformerForSemanticSegmentation(t.SegformerConfig(**SEGFORMER, **names))
        processor: Any = t.SegformerImageProcessorPil(**{"size": {"height": 32, "width": 48}, **settings})
    elif kind == "upernet":
        backbone = t.ConvNextConfig(
            depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], out_features=["stage1", "stage2", "stage3", "stage4"]
        )
        config = t.UperNetConfig(
            backbone_config=backbone, hidden_size=16, auxiliary_channels=8, auxiliary_in_channels=16, **names
        )
        model = t.UperNetForSemanticSegmentation(config)
        processor = t.SegformerImageProcessorPil(size={"height": 32, "width": 48})
    elif kind == "mobilevit":
        config = t.MobileViTConfig(
            hidden_sizes=[16, 16, 16],
            neck_hidden_sizes=[8, 8, 8, 8, 8, 8, 16],
            image_size=64,
            aspp_out_channels=16,
            **names,
        )
        model = t.MobileViTForSemanticSegmentation(config)
        size = {"size": {"shortest_edge": 80}, "crop_size": {"height": 64, "width": 64}}
        processor = t.MobileViTImageProcessorPil(**size | settings)
    elif kind == "dpt":
        config = t.DPTConfig(
            **square,
            **names,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=16,
        )
        model = t.DPTForSemanticSegmentation(config)
        processor = t.DPTImageProcessorPil(size={"height": 32, "width": 32})
    else:
        model = t.BeitForSemanticSegmentation(t.BeitConfig(**square, **names, out_indices=[1, 2, 3, 4]))
        processor = t.BeitImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    with torch.no_grad():  # so that classes differ from pixel to pixel
        for parameter in model.parameters():
            parameter.mul_(2.0 if parameter.ndim > 1 else 1.0).add_(0.01)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return ModelSpec(reference=str(folder))


def test_counts_are_those_of_the_masks_that_transformers_pipeline_makes(tmp_path: Path) -> None:
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation, pipeline

    model, rows = save(tmp_path), some_rows()
    records = records_of(make_trial(TASK, model, labels=LABELS, max_length=1), rows)
    told = pipeline(
        "image-segmentation",
        model=AutoModelForSemanticSegmentation.from_pretrained(tmp_path),
        image_processor=AutoImageProcessor.from_pretrained(tmp_path, backend="pil"),
    )
    for image, mask, counts in zip(arrays(rows, "image"), arrays(rows, "mask"), of_records(records), strict=True):
        prediction = np.full(image.shape[:2], -1)
        for segment in told(Image.fromarray(image)):
            prediction[np.asarray(segment["mask"]) > 0] = LABELS.index(segment["label"])
        assert len(np.unique(prediction)) > 1
        assert counts == counted(prediction, mask)


@pytest.mark.parametrize("kind", ["segformer", "upernet", "mobilevit", "dpt", "beit"])
def test_every_architecture_is_counted_by_its_processors_post_processing(tmp_path: Path, kind: str) -> None:
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

    settings = {"do_center_crop": False, "size": {"height": 64, "width": 64}} if kind == "mobilevit" else {}
    model, rows = save(tmp_path, kind, **settings), some_rows()
    found = of_records(records_of(make_trial(TASK, model, labels=LABELS, max_length=1), rows))
    network = AutoModelForSemanticSegmentation.from_pretrained(tmp_path).eval()
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    for image, mask, counts in zip(arrays(rows, "image"), arrays(rows, "mask"), found, strict=True):
        with torch.inference_mode():
            outputs = network(**processor(images=[image], input_data_format="channels_last", return_tensors="pt"))
        prediction = processor.post_process_semantic_segmentation(outputs, [image.shape[:2]])[0]
        assert counts == counted(prediction.numpy(), mask)


def test_a_processors_crop_is_left_out_so_that_every_pixel_is_seen(tmp_path: Path) -> None:
    model = save(tmp_path / "cropped", "mobilevit")
    whole = save(tmp_path / "whole", "mobilevit", do_center_crop=False, size={"height": 64, "width": 64})
    seen = []
    for one, asked in ((model, True), (whole, False)):
        processor = open_image_processor(one, 3, whole=asked)
        assert processor is not None
        seen.append(processor.resized(arrays(some_rows(), "image")))
    assert {array.shape for array in seen[0]} == {(64, 64, 3)}
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(*seen, strict=True))


def test_loss_and_masks_are_those_of_the_model_and_its_processor(tmp_path: Path) -> None:
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

    model, rows = save(tmp_path), some_rows()
    task, dataset = get_task(TASK), DatasetKey(name="d", task=TASK, labels=LABELS, fingerprint="f", max_length=1)
    examples = task.examples(task.prepare(rows, model, 1), model, dataset)
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    masks = [mask[:, :, 0] for mask in arrays(rows, "mask")]
    given = processor(
        images=arrays(rows, "image"), segmentation_maps=masks, input_data_format="channels_last", return_tensors="pt"
    )
    for place, mask in enumerate(masks):
        assert np.array_equal(resized_mask(mask, (32, 48)), given["labels"][place].numpy())
    batch = examples.batch(np.arange(4), 64, CPU)
    network = task.network(model, dataset, 0, own_head=True)
    units = examples.units(np.arange(4))
    assert units == int((given["labels"] != 255).sum())
    with torch.inference_mode():
        loss = task.loss(network(batch.inputs), batch, LossOptions())
        theirs = AutoModelForSemanticSegmentation.from_pretrained(tmp_path).eval()(**given).loss
    torch.testing.assert_close(loss / units, theirs, rtol=1e-5, atol=0)


def test_a_picture_of_many_classes_is_told_some_classes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(37, 5, 6, generator=torch.Generator().manual_seed(0)).round()  # with ties
    whole = torch.nn.functional.interpolate(logits[None], size=(23, 17), mode="bilinear", align_corners=False)[0]
    monkeypatch.setitem(pixel_classes._MOST_VALUES, "cpu", 4 * 23 * 17)
    assert torch.equal(best_classes(logits, (23, 17)), whole.argmax(dim=0))
    logits[20, 2, 3] = torch.nan
    found = best_classes(logits, (23, 17))
    assert (found == -1).any()
    assert (found >= 0).any()


def test_what_is_ignored_changes_nothing_and_labels_can_begin_at_one(tmp_path: Path) -> None:
    model, rows = save(tmp_path), some_rows()
    before = of_records(records_of(make_trial(TASK, model, labels=LABELS, max_length=1), rows))
    moved = [np.where(mask == 255, 0, mask + 1).astype(np.uint8) for mask in arrays(rows, "mask")]
    shifted = rows.set_column(2, "mask", pa.array(list(map(picture, moved)), IMAGE))
    trial = make_trial(TASK, model, labels=LABELS, max_length=1, reduce_labels=True)
    assert of_records(records_of(trial, shifted)) == before
    other = [np.where(mask == 255, 9, mask).astype(np.uint8) for mask in arrays(rows, "mask")]
    renumbered = rows.set_column(2, "mask", pa.array(list(map(picture, other)), IMAGE))
    trial = make_trial(TASK, model, labels=LABELS, max_length=1, ignore_index=9)
    assert of_records(records_of(trial, renumbered)) == before
    assert class_of_number(255, reduce_labels=True)[[0, 1, 254, 255]].tolist() == [255, 0, 253, 255]


def test_an_own_head_puts_out_the_datasets_labels_in_its_order(tmp_path: Path) -> None:
    model, rows = save(tmp_path), some_rows()
    plain = records_of(make_trial(TASK, model, labels=LABELS, max_length=1), rows)
    turned = [np.where(mask == 255, 255, 3 - mask).astype(np.uint8) for mask in arrays(rows, "mask")]
    reverse = rows.set_column(2, "mask", pa.array(list(map(picture, turned)), IMAGE))
    names = [name.upper() for name in LABELS[::-1]]
    found = records_of(make_trial(TASK, model, labels=names, max_length=1), reverse)
    for name in ("intersection", "predicted_pixels", "target_pixels"):
        assert [row[::-1] for row in found[name].to_pylist()] == plain[name].to_pylist()


@pytest.mark.parametrize("kind", ["segformer", "dpt"])
def test_of_other_labels_only_what_is_of_their_number_is_fresh_and_drawn_from_the_seed(
    tmp_path: Path, kind: str
) -> None:
    model = save(tmp_path, kind)
    task = get_task(TASK)
    states = []
    for labels, seed in ((LABELS, 0), (("a", "b"), 0), (("a", "b"), 0), (("a", "b"), 1), (("x", "y", "z", "w"), 0)):
        dataset = DatasetKey(name="d", task=TASK, labels=labels, fingerprint="f", max_length=1)
        network = task.network(model, dataset, 7, own_head=True)
        network.draw(seed)
        states.append(network.backbone.state_dict())
    own, first, again, other, renamed = states

    def differing(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> set[str]:
        return {
            name for name, value in one.items() if value.shape != two[name].shape or not torch.equal(value, two[name])
        }

    sized = differing(own, first)
    assert sized
    assert all("head" in name for name in sized)
    assert differing(first, again) == set()
    assert differing(first, other) == {name for name in sized if "weight" in name}
    assert differing(own, renamed) == sized


def test_a_body_alone_gets_a_fresh_head_and_a_torn_body_is_told(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file
    from transformers import SegformerConfig, SegformerForImageClassification, SegformerModel

    rows = some_rows()
    SegformerForImageClassification(SegformerConfig(**SEGFORMER)).save_pretrained(tmp_path / "body")
    model = ModelSpec(reference=str(tmp_path / "body"))
    records = records_of(make_trial(TASK, model, "full", labels=LABELS, max_length=1, given={"epochs": 1}), rows)
    assert pc.sum(pc.list_flatten(records["target_pixels"])).as_py() == sum(h * w - 35 for h, w in RAW_SIZES)
    with pytest.raises(IncompatibleError, match="no trained head to score as it is"):
        check(model, get_task(TASK), LABELS, "none")
    file = tmp_path / "body" / "model.safetensors"
    left = {name: value for name, value in load_file(file).items() if "patch_embeddings.0" not in name}
    assert len(left) < len(load_file(file))
    save_file(left, file, metadata={"format": "pt"})
    dataset = DatasetKey(name="d", task=TASK, labels=LABELS, fingerprint="f", max_length=1)
    with pytest.raises(ModelError, match=r"its weights lack .* such as segformer"):
        get_task(TASK).network(model, dataset, 0, own_head=False)
    assert SegformerModel  # the body's own class


@pytest.mark.parametrize("method", ["full", "top_layers", "lora", "gradual_unfreeze"])
def test_methods_that_step_through_the_network_learn(method: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    classes = [np.repeat(np.repeat(draw.integers(0, 2, (4, 4, 1)), 8, 0), 8, 1).astype(np.uint8) for _ in range(16)]
    images = [np.repeat(one * 150 + 50, 3, axis=2).astype(np.uint8) for one in classes]
    columns = {name: pa.array(list(map(picture, some)), IMAGE) for name, some in (("image", images), ("mask", classes))}
    rows = pa.table({"id": [str(i) for i in range(16)], **columns})
    save(tmp_path, size={"height": 32, "width": 32})
    given = {"epochs": 12, "learning_rate": 1e-2, "batch_size": 4}
    trial = make_trial(TASK, str(tmp_path), method, labels=("dark", "light"), max_length=1, given=given)
    records = records_of(trial, rows)
    hits = sum(map(sum, records["intersection"].to_pylist())) / sum(map(sum, records["target_pixels"].to_pylist()))
    assert hits > 0.8


def test_a_head_on_features_and_a_classifier_are_refused(tmp_path: Path) -> None:
    model = save(tmp_path)
    with pytest.raises(IncompatibleError, match="semantic-segmentation has no one vector a row"):
        check(model, get_task(TASK), LABELS, "frozen")
    with pytest.raises(IncompatibleError, match="knows no resnet for semantic-segmentation; segformer"):
        check(ModelSpec(reference="arch:resnet"), get_task(TASK), LABELS, "full")


@pytest.mark.parametrize("baseline", ["majority-pixel", "pixel-logistic"])
def test_baselines_are_counted_directly(baseline: str) -> None:
    rows = some_rows()
    images, masks = arrays(rows, "image"), arrays(rows, "mask")
    bright = [
        np.where(mask == 255, 255, image[:, :, :1] // 64).astype(np.uint8)
        for image, mask in zip(images, masks, strict=True)
    ]
    rows = rows.set_column(2, "mask", pa.array(list(map(picture, bright)), IMAGE))
    model = ModelSpec(reference=f"baseline:{baseline}")
    records = records_of(make_trial(TASK, model, labels=LABELS, max_length=1), rows)
    commonest = int(np.bincount(np.concatenate([one.ravel() for one in bright]), minlength=256)[:255].argmax())
    expected = [counted(np.full(one.shape, commonest), one) for one in bright]
    if baseline == "majority-pixel":
        assert of_records(records) == expected
    else:
        scores = MetricSet(("pixel_accuracy",), {"labels": list(LABELS)})
        assert scores.compute(scores.states(records), lambda: records)["pixel_accuracy"].value > 0.9


def encoded(image: Image.Image, kind: str = "png") -> bytes:
    into = io.BytesIO()
    image.save(into, kind)
    return into.getvalue()


def test_masks_are_read_by_number_whatever_they_look_like() -> None:
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4)
    grey = Image.fromarray(numbers)
    coloured = Image.new("P", (4, 3))
    coloured.putdata(numbers.ravel().tolist())
    coloured.putpalette([(i * 37) % 256 for i in range(768)])
    deep = Image.fromarray(numbers.astype(np.uint16))
    alike = Image.fromarray(np.repeat(numbers[:, :, None], 3, axis=2))
    given = [encoded(one) for one in (grey, coloured, deep, alike)]
    column = pa.chunked_array([pa.array(given, pa.binary())])
    for cell in decode_masks(column, ["a", "b", "c", "d"]).to_pylist():
        assert (cell["height"], cell["width"], cell["channels"]) == (3, 4, 1)
        assert cell["data"] == numbers.tobytes()


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.fromarray(np.arange(36, dtype=np.uint8).reshape(3, 4, 3)), "mask x.png: holds colours; want numbers"),
        (Image.fromarray(np.full((3, 4), 300, np.uint16)), "mask x.png: holds 300; numbers of classes are 0 to 255"),
        (None, "mask x.png: not a picture that can be decoded"),
    ],
)
def test_a_mask_that_is_none_is_told_by_its_name(image: Image.Image | None, said: str) -> None:
    data = b"\x89PNG torn" if image is None else encoded(image)
    with pytest.raises(DataError, match=said):
        decode_masks(pa.chunked_array([pa.array([data], pa.binary())]), ["x.png"])


def write_job(folder: Path, rows: list[tuple[Image.Image, Image.Image]], **dataset: Any) -> Path:
    import json

    lines = []
    for place, (image, mask) in enumerate(rows):
        image.save(folder / f"{place}.jpg")
        mask.save(folder / f"{place}.png")
        lines.append(json.dumps({"photo": f"{place}.jpg", "mask": f"{place}.png"}))
    (folder / "rows.jsonl").write_text("\n".join(lines))
    job = {
        "name": "j", "store": str(folder / "store"), "candidates": [{"baseline": "all"}],
        "datasets": [
            {"name": "d", "source": "json", "data_files": {"train": "rows.jsonl"}, "task": TASK,
             "columns": {"image": "photo"}, **dataset},
        ],
    }  # fmt: skip
    (folder / "job.yaml").write_text(json.dumps(job))
    return folder / "job.yaml"


def photos(count: int = 12, size: tuple[int, int] = (8, 6)) -> list[tuple[Image.Image, Image.Image]]:
    draw = np.random.default_rng(0)
    return [
        (Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)),
         Image.fromarray(draw.integers(0, 3, size[::-1], dtype=np.uint8)))
        for _ in range(count)
    ]  # fmt: skip


def test_files_of_pictures_and_masks_are_a_dataset_with_classes_by_number(tmp_path: Path) -> None:
    plan = make_plan(load_job(write_job(tmp_path, photos())))
    assert plan.datasets["d"].loaded.labels == ("0", "1", "2")
    assert {one.trial.model.baseline for one in plan.trials} == {"majority-pixel", "pixel-logistic"}
    assert plan.datasets["d"].metrics == ("mean_iou", "dice", "pixel_accuracy")


@pytest.mark.parametrize(
    ("dataset", "size", "said"),
    [
        (
            {"task_config": {"labels": ["a", "b"]}},
            (8, 6),
            r"holds 2; task_config\.labels names 2 classes, the last of them 1",
        ),
        ({}, (6, 6), r"the mask of row '\w+' is 6 × 6 and its picture 6 × 8"),
        ({"task_config": {"ignore_index": 300}}, (8, 6), "ignore_index: 300: .*less than or equal to 255"),
        ({"columns": {"image": "photo", "mask": "masc"}}, (8, 6), "no column 'masc'; did you mean mask"),
    ],
)
def test_rows_that_cannot_be_are_one_line(tmp_path: Path, dataset: Any, size: tuple[int, int], said: str) -> None:
    from raybench.core.errors import RaybenchError

    with pytest.raises(RaybenchError, match=said) as told:
        make_plan(load_job(write_job(tmp_path, photos(size=size), **dataset)))
    assert "job.yaml:" in str(told.value)
    assert "\n" not in str(told.value)


def test_on_real_coasts_colours_tell_land_from_sea() -> None:
    from raybench.data.packaged import land_and_sea

    splits = land_and_sea()
    assert {name: table.num_rows for name, table in splits.items()} == {"train": 582, "test": 147}
    assert not set(map(str, splits["train"]["image"].to_pylist())) & set(map(str, splits["test"]["image"].to_pylist()))
    numbers = {split: np.stack(arrays(table, "mask")) for split, table in splits.items()}
    assert set(np.unique(numbers["test"])) == {0, 1, 255}
    train, test = (
        splits[split].slice(0, 60).append_column("id", pa.array([f"{split}{row}" for row in range(60)]))
        for split in ("train", "test")
    )
    values = {}
    for name in ("majority-pixel", "pixel-logistic"):
        model = ModelSpec(reference=f"baseline:{name}")
        records = records_of(make_trial(TASK, model, labels=("sea", "land"), max_length=1), test, train)
        assert records["target_pixels"].to_pylist() == [
            np.bincount(mask.ravel(), minlength=256)[:2].tolist() for mask in numbers["test"][:60]
        ]
        metrics = MetricSet(("mean_iou",), {"labels": ["sea", "land"]})
        values[name] = metrics.compute(metrics.states(records), lambda records=records: records)["mean_iou"].value
    assert values["majority-pixel"] < 0.4 < 0.85 < values["pixel-logistic"]
