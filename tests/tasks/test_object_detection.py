"""Boxes are those of transformers' pipeline, the loss is the model's, and COCO's figures are those of pycocotools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from raybench.core import DatasetKey, ModelSpec
from raybench.core.errors import IncompatibleError, RaybenchError
from raybench.core.pictures import IMAGE
from raybench.job import load_job
from raybench.metrics import MetricSet
from raybench.metrics.detection import FIGURES
from raybench.models.detections import TELL_BOXES, detection_processing
from raybench.planning.plan import make_plan
from raybench.tasks.catalog import get_task
from raybench.tasks.task import LossOptions
from tests.tasks.as_planned import check
from tests.tasks.conftest import YOLOS
from tests.tasks.trials import make_trial, records_of

CPU = torch.device("cpu")
TASK = "object-detection"
LABELS = ("bag", "boot", "coat")
RAW_SIZES = ((50, 70), (64, 64), (40, 90), (50, 70), (33, 33))
OBJECTS = [  # of each picture: label, box, crowd
    [(0, [3.0, 4, 20, 30], 0), (2, [10.0, 10, 40, 25], 0)],
    [],
    [(1, [5.0, 5, 80, 30], 0), (1, [1.0, 1, 9, 9], 1)],
    [(2, [0.0, 0, 70, 50], 0)],
    [(0, [30.0, 30, 8, 8], 0)],  # reaches beyond its picture
]


def some_rows() -> pa.Table:
    draw = np.random.default_rng(5)
    images = [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in RAW_SIZES]
    pictures = [{"height": one.shape[0], "width": one.shape[1], "channels": 3, "data": one.tobytes()} for one in images]
    kinds = {"labels": pa.int32(), "boxes": pa.list_(pa.float64()), "crowd": pa.int8(), "areas": pa.float64()}
    values = {
        "labels": [[one[0] for one in row] for row in OBJECTS],
        "boxes": [[one[1] for one in row] for row in OBJECTS],
        "crowd": [[one[2] for one in row] for row in OBJECTS],
        "areas": [[-1.0 for _ in row] for row in OBJECTS],
    }
    columns = {name: pa.array(values[name], pa.list_(kind)) for name, kind in kinds.items()}
    ids = [f"r{place}" for place in range(len(images))]
    return pa.table({"id": ids, "image": pa.array(pictures, IMAGE), **columns})


def images_of(rows: pa.Table) -> list[np.ndarray]:
    return [
        np.frombuffer(one["data"], np.uint8).reshape(one["height"], one["width"], 3)
        for one in rows["image"].to_pylist()
    ]


def save(folder: Path, kind: str = "detr", labels: tuple[str, ...] = LABELS) -> ModelSpec:
    """A random checkpoint with large weights and the architecture's own processor."""
    import transformers as t

    names = {"id2label": dict(enumerate(labels)), "label2id": {name: place for place, name in enumerate(labels)}}
    resnet = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "layer_type": "basic"}
    stages = ["stage2", "stage3", "stage4"]
    small = {
        "d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "num_queries": 7,
    }  # fmt: skip
    own: dict[str, Any] = {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None}
    least = 100 if kind == "deformable_detr" else 40  # so that its smallest map has more than one pixel
    shape: dict[str, Any] = {"size": {"shortest_edge": least, "longest_edge": 2 * least}}
    torch.manual_seed(3)
    if kind in ("detr", "conditional_detr", "deformable_detr"):
        out = stages if kind == "deformable_detr" else stages[-1:]
        own["backbone_config"] = t.ResNetConfig(**resnet, out_features=out)
        name = {"detr": "Detr", "conditional_detr": "ConditionalDetr", "deformable_detr": "DeformableDetr"}[kind]
    elif kind == "rt_detr":
        small = {
            "d_model": 16, "encoder_hidden_dim": 16, "encoder_in_channels": [8, 16, 16], "encoder_ffn_dim": 16,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_in_channels": [16, 16, 16],
            "decoder_ffn_dim": 16, "decoder_layers": 2, "num_queries": 7, "num_denoising": 4, "encoder_layers": 1,
        }  # fmt: skip
        own, name = {"backbone_config": t.RTDetrResNetConfig(**resnet, out_features=stages)}, "RTDetr"
        shape = {"size": {"height": 64, "width": 64}}
    else:
        small, own, name = {**YOLOS, "image_size": [40, 64]}, {}, "Yolos"
    config = getattr(t, f"{name}Config")(**small, **own, **names)
    model = getattr(t, f"{name}ForObjectDetection")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3.0 if kind == "detr" else 1.5)
    model.save_pretrained(folder)
    getattr(t, f"{name}ImageProcessorPil")(**shape).save_pretrained(folder)
    return ModelSpec(reference=str(folder))


def detections(records: pa.Table) -> list[list[tuple[str, float, list[float]]]]:
    """Label, score and corners of each detection of each picture."""
    found = []
    for row in records.to_pylist():
        boxes = np.array(row["boxes"]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        found.append(
            [(LABELS[k], s, b) for k, s, b in zip(row["labels"], row["box_scores"], boxes.tolist(), strict=True)]
        )
    return found


def test_detections_are_those_of_transformers_pipeline(tmp_path: Path) -> None:
    from transformers import AutoImageProcessor, AutoModelForObjectDetection, pipeline

    model, rows = save(tmp_path), some_rows()
    records = records_of(make_trial(TASK, model, labels=LABELS, max_length=1, threshold=0.2), rows)
    told = pipeline(
        TASK,
        model=AutoModelForObjectDetection.from_pretrained(tmp_path),
        image_processor=AutoImageProcessor.from_pretrained(tmp_path, backend="pil"),
        threshold=0.2,
    )
    counts = []
    for image, mine in zip(images_of(rows), detections(records), strict=True):
        theirs = sorted(told(Image.fromarray(image)), key=lambda one: -one["score"])
        assert [one[0] for one in mine] == [one["label"] for one in theirs]
        np.testing.assert_allclose([one[1] for one in mine], [one["score"] for one in theirs], rtol=1e-4)
        corners = [[one["box"][side] for side in ("xmin", "ymin", "xmax", "ymax")] for one in theirs]
        np.testing.assert_allclose([one[2] for one in mine], corners, atol=1.0)  # the pipeline cuts fractions off
        counts.append(len(mine))
    assert sum(counts) > 10


@pytest.mark.parametrize("kind", ["detr", "conditional_detr", "deformable_detr", "rt_detr", "yolos"])
def test_every_architecture_gives_its_own_boxes_and_its_own_loss(tmp_path: Path, kind: str) -> None:
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    model, rows = save(tmp_path, kind), some_rows()
    records = records_of(make_trial(TASK, model, labels=LABELS, max_length=1), rows)
    network = AutoModelForObjectDetection.from_pretrained(tmp_path).eval()
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    losses = []
    for place, (image, mine) in enumerate(zip(images_of(rows), detections(records), strict=True)):
        objects = [
            {"bbox": box, "category_id": label, "area": box[2] * box[3], "iscrowd": crowd}
            for label, box, crowd in OBJECTS[place]
        ]
        given = processor(
            images=[image], annotations=[{"image_id": place, "annotations": objects}],
            input_data_format="channels_last", return_tensors="pt",
        )  # fmt: skip
        labels = [{name: one[name] for name in ("class_labels", "boxes")} for one in given["labels"]]
        with torch.inference_mode():
            outputs = network(pixel_values=given["pixel_values"], labels=labels)
        found = processor.post_process_object_detection(outputs, threshold=0.0, target_sizes=[image.shape[:2]])[0]
        order = torch.argsort(-found["scores"], stable=True)
        np.testing.assert_allclose([one[1] for one in mine], found["scores"][order], rtol=1e-4, atol=1e-6)
        assert [LABELS.index(one[0]) for one in mine] == found["labels"][order].tolist()
        sizes = found["boxes"][order].numpy()
        np.testing.assert_allclose([one[2] for one in mine], sizes, rtol=1e-3, atol=1e-2)
        losses.append((float(outputs.loss), max(1, len(labels[0]["class_labels"]))))
    task, dataset = get_task(TASK), DatasetKey(name="d", task=TASK, labels=LABELS, fingerprint="f", max_length=1)
    examples = task.examples(task.prepare(rows, model, 1), model, dataset)
    opened = task.network(model, dataset, 0, own_head=True)
    for place, (loss, units) in enumerate(losses):
        batch = examples.batch(np.array([place]), 64, CPU)
        with torch.inference_mode():
            mine = task.loss(opened(batch.inputs), batch, LossOptions())
        assert examples.units(np.array([place])) == units
        np.testing.assert_allclose(float(mine) / units, loss, rtol=1e-3)


def test_figures_are_those_of_pycocotools_on_the_same_detections(tmp_path: Path, capsys: Any) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rows = some_rows()
    records = records_of(make_trial(TASK, save(tmp_path), labels=LABELS, max_length=1), rows)
    assert records["truth_crowd"].to_pylist() == [[0, 0], [], [0, 1], [0], [0]]
    truths = [
        {"image_id": place, "category_id": label + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}
        for place, row in enumerate(OBJECTS)
        for label, box, crowd in row
    ]
    coco = COCO()
    coco.dataset = {
        "info": {}, "images": [{"id": place} for place in range(5)], "categories": [{"id": k} for k in (1, 2, 3)],
        "annotations": [{"id": place + 1, **one} for place, one in enumerate(truths)],
    }  # fmt: skip
    coco.createIndex()
    found = [
        {"image_id": place, "category_id": label + 1, "bbox": box, "score": score}
        for place, row in enumerate(records.to_pylist())
        for label, box, score in zip(
            row["labels"], np.array(row["boxes"]).reshape(-1, 4).tolist(), row["box_scores"], strict=True
        )
    ]
    evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    capsys.readouterr()
    metrics = MetricSet(get_task(TASK).metrics, {"labels": list(LABELS)})
    scores = metrics.compute(metrics.states(records), lambda: records)
    mine = [scores[f"coco_{name}"].value for name in FIGURES]
    theirs = [None if value == -1 else value for value in evaluation.stats]
    assert mine == pytest.approx(theirs)
    assert mine[0] is not None


def test_corners_as_the_data_have_them_are_the_same_objects(tmp_path: Path) -> None:
    model, rows = save(tmp_path), some_rows()
    plain = records_of(make_trial(TASK, model, labels=LABELS, max_length=1), rows)
    corners = [[[*box[:2], box[0] + box[2], box[1] + box[3]] for _, box, _ in row] for row in OBJECTS]
    kind = pa.list_(pa.list_(pa.float64()))
    other = rows.set_column(rows.column_names.index("boxes"), "boxes", pa.array(corners, kind))
    assert records_of(make_trial(TASK, model, labels=LABELS, max_length=1, box_format="xyxy"), other).equals(plain)


def test_an_own_head_speaks_the_datasets_labels_and_what_it_knows_beside_them_is_left_out(tmp_path: Path) -> None:
    model, rows = save(tmp_path, labels=("lamp", "BOOT", "coat", "Bag")), some_rows()
    records = records_of(make_trial(TASK, model, labels=LABELS, max_length=1), rows)
    numbers = [len(row) for row in records["labels"].to_pylist()]
    assert 0 < sum(numbers) < 5 * 7
    with pytest.raises(IncompatibleError, match="its head knows lamp, BOOT, coat, Bag, the dataset has cat"):
        check(model, get_task(TASK), ("cat",), "none")


@pytest.mark.parametrize("kind", ["detr", "rt_detr", "yolos"])
def test_other_labels_leave_all_of_the_checkpoint_but_what_is_of_their_number(tmp_path: Path, kind: str) -> None:
    model = save(tmp_path, kind)
    dataset = DatasetKey(name="d", task=TASK, labels=("a", "b"), fingerprint="f", max_length=1)
    task = get_task(TASK)
    own = task.network(model, DatasetKey(**{**_fields(dataset), "labels": LABELS}), 0, own_head=True)
    fresh = task.network(model, dataset, 0, own_head=True)
    before, after = own.backbone.state_dict(), fresh.backbone.state_dict()
    changed = {name for name, value in before.items() if value.shape != after[name].shape}
    assert changed
    assert all("class" in name or "score" in name for name in changed)
    assert all(torch.equal(value, after[name]) for name, value in before.items() if name not in changed)
    assert {id(one) for one in fresh.head_parameters()} < {id(one) for one in fresh.parameters()}


def _fields(dataset: DatasetKey) -> dict[str, Any]:
    return {name: getattr(dataset, name) for name in dataset.__slots__}


def bright_scenes(count: int) -> pa.Table:
    """A bright square on dark, at one of four places."""
    pictures, boxes = [], []
    for place in range(count):
        image = np.zeros((32, 32, 3), dtype=np.uint8)
        top, left = 16 * (place % 2), 16 * (place // 2 % 2)
        image[top : top + 14, left : left + 14] = 200
        pictures.append({"height": 32, "width": 32, "channels": 3, "data": image.tobytes()})
        boxes.append([[float(left), float(top), 14.0, 14.0]])
    return pa.table(
        {
            "id": [str(place) for place in range(count)],
            "image": pa.array(pictures, IMAGE),
            "labels": pa.array([[0]] * count, pa.list_(pa.int32())),
            "boxes": pa.array(boxes, pa.list_(pa.list_(pa.float64()))),
            "areas": pa.array([[-1.0]] * count, pa.list_(pa.float64())),
            "crowd": pa.array([[0]] * count, pa.list_(pa.int8())),
        }
    )


def test_a_network_from_scratch_learns_where_things_are() -> None:
    rows = bright_scenes(16)
    model = ModelSpec(reference="arch:yolos", config={
        **YOLOS, "image_size": [32, 32], "hidden_size": 32, "num_detection_tokens": 2, "initializer_range": 0.05,
    })  # fmt: skip
    given = {"epochs": 60, "learning_rate": 3e-3, "batch_size": 8, "decay": "constant"}
    values = {}
    for name, spec, method in (("yolos", model, "full"), ("mean", ModelSpec(reference="baseline:mean-boxes"), "none")):
        trial = make_trial(TASK, spec, method, given=given, labels=("square",), max_length=1)
        records = records_of(trial, rows)
        metrics = MetricSet(("coco_ap_50",), {"labels": ["square"]})
        values[name] = metrics.compute(metrics.states(records), lambda records=records: records)["coco_ap_50"].value
    assert values["mean"] < 0.05 < 0.1 < values["yolos"]


@pytest.mark.parametrize("method", ["top_layers", "lora", "gradual_unfreeze"])
def test_methods_that_step_through_the_network_take_part(method: str, tmp_path: Path) -> None:
    model = save(tmp_path, "yolos")
    trial = make_trial(TASK, model, method, given={"epochs": 1}, labels=LABELS, max_length=1)
    assert records_of(trial, some_rows()).num_rows == 5


def test_what_cannot_be_done_is_said_by_the_plan(tmp_path: Path) -> None:
    task = get_task(TASK)
    with pytest.raises(IncompatibleError, match="object-detection has no one vector a row"):
        check(save(tmp_path), task, LABELS, "frozen")
    with pytest.raises(IncompatibleError, match="knows no vit for object-detection; detr"):
        check(ModelSpec(reference="arch:vit"), task, LABELS, "full")
    with pytest.raises(IncompatibleError, match="no trained head to score as it is"):
        check(ModelSpec(reference="arch:yolos"), task, LABELS, "none")
    trial = make_trial(TASK, ModelSpec(reference="arch:yolos", config=YOLOS), "full", labels=LABELS, max_length=1,
                       given={"epochs": 1, "label_smoothing": 0.1})  # fmt: skip
    with pytest.raises(IncompatibleError, match="label_smoothing: the loss of object-detection is the model's own"):
        records_of(trial, some_rows())


def test_mean_boxes_are_the_means_of_each_class() -> None:
    rows = some_rows()
    records = records_of(
        make_trial(TASK, ModelSpec(reference="baseline:mean-boxes"), labels=LABELS, max_length=1), rows
    )
    one = records.to_pylist()[1]
    assert one["labels"] == [0, 2, 1]
    assert one["box_scores"] == pytest.approx([2 / 5, 2 / 5, 1 / 5])
    coats = np.mean([[10 / 70, 10 / 50, 40 / 70, 25 / 50], [0, 0, 1, 1]], axis=0) * 64
    np.testing.assert_allclose(one["boxes"][4:8], coats)


# --- data


def write_job(folder: Path, content: Any, **dataset: Any) -> Path:
    (folder / "rows.json").write_text(content if isinstance(content, str) else json.dumps(content))
    job = {
        "name": "j", "store": str(folder / "store"), "candidates": [{"baseline": "all"}],
        "datasets": [{"name": "d", "source": "json", "data_files": {"train": "rows.json"}, "task": TASK, **dataset}],
    }  # fmt: skip
    (folder / "job.yaml").write_text(json.dumps(job))
    return folder / "job.yaml"


def write_pictures(folder: Path, count: int = 12) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    for place in range(count):
        Image.fromarray(draw.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(folder / f"{place}.png")
    return [f"{place}.png" for place in range(count)]


def coco_content(names: list[str]) -> dict[str, Any]:
    return {
        "images": [{"id": place + 10, "file_name": name} for place, name in enumerate(names)],
        "categories": [{"id": 3, "name": "boat"}, {"id": 7, "name": "crane"}],
        "annotations": [
            {"id": place, "image_id": place + 10, "category_id": (3, 7)[place % 2], "bbox": [1, 2, 3 + place, 4],
             "area": 9.5, "iscrowd": place % 3 == 2}
            for place in range(len(names) - 1)
        ],
    }  # fmt: skip


@pytest.mark.parametrize("folder", ["", "images", "rows", "train2017"])
def test_cocos_files_are_rows_wherever_their_pictures_lie(tmp_path: Path, folder: str) -> None:
    content = coco_content(write_pictures(tmp_path / folder))
    job = write_job(tmp_path, content)
    if folder == "train2017":
        (tmp_path / "annotations").mkdir()
        (tmp_path / "rows.json").rename(tmp_path / "annotations" / "instances_train2017.json")
        text = job.read_text().replace("rows.json", "annotations/instances_train2017.json")
        job.write_text(text)
    plan = make_plan(load_job(job))
    loaded = plan.datasets["d"].loaded
    assert loaded.labels == ("boat", "crane")
    rows = pa.concat_tables(loaded.splits.values()).to_pylist()
    assert sorted(len(row["boxes"]) for row in rows) == [0] + [1] * 11
    boxes = {
        tuple(box): (label, area, crowd)
        for row in rows
        for box, label, area, crowd in zip(*(row[name] for name in ("boxes", "labels", "areas", "crowd")), strict=True)
    }
    assert boxes[1, 2, 5, 4] == (0, 9.5, 1)
    assert boxes[1, 2, 6, 4] == (1, 9.5, 0)
    assert any("have no object" in note for note in plan.notes)


SHAPES = {
    "objects": [{"bbox": [1, 2, 3, 4], "category": "boat"}, {"bbox": [0, 0, 5, 5], "category": "crane"}],
    "lists": {"bbox": [[1, 2, 3, 4], [0, 0, 5, 5]], "category": ["boat", "crane"], "area": [12, 25], "id": [8, 9]},
    "numbers": [{"box": [1, 2, 3, 4], "label": 0}, {"box": [0, 0, 5, 5], "label": 1}],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_hubs_shapes_of_objects_are_one(tmp_path: Path, shape: str) -> None:
    rows = [{"image": name, "objects": SHAPES[shape]} for name in write_pictures(tmp_path)]
    loaded = make_plan(load_job(write_job(tmp_path, rows))).datasets["d"].loaded
    assert loaded.labels == (("0", "1") if shape == "numbers" else ("boat", "crane"))
    row = loaded.splits["test"].to_pylist()[0]
    assert row["boxes"] == [[1, 2, 3, 4], [0, 0, 5, 5]]
    assert (row["labels"], row["crowd"]) == ([0, 1], [0, 0])
    assert row["areas"] == ([12, 25] if shape == "lists" else [-1, -1])


def test_names_that_a_hub_set_declares_are_those_of_its_numbers() -> None:
    import datasets

    from raybench.data.objects import object_names

    category = datasets.ClassLabel(names=["boat", "crane"])
    box = datasets.List(datasets.Value("float32"))
    shapes = {"bbox": datasets.List(box), "category": datasets.List(category)}, {"bbox": box, "category": category}
    for objects in (shapes[0], datasets.List(shapes[1])):
        features = datasets.Features({"objects": objects})
        table = features.arrow_schema.empty_table()
        assert object_names(table, "objects") == ("boat", "crane")


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([{"bbox": [1, 2, 3], "category": "a"}], r"row 0 has a box of \[1, 2, 3\]; want four numbers"),
        ([{"bbox": [1, 2, 3, 4]}], "row 0 has an object without a category"),
        ([{"bbox": [9, 2, -3, 4], "category": "a"}], r"has a box of negative size; task_config: \{box_format: xyxy\}"),
        ({"bbox": [[1, 2, 3, 4]], "category": ["a", "b"]}, "has lists of .* entries; want one each an object"),
        (["a"], "row 0 holds list; want objects"),
    ],
)
def test_objects_that_are_none_are_one_line(tmp_path: Path, objects: Any, said: str) -> None:
    rows = [{"image": name, "objects": objects} for name in write_pictures(tmp_path)]
    with pytest.raises(RaybenchError, match=said) as told:
        make_plan(load_job(write_job(tmp_path, rows)))
    assert str(told.value).startswith(f"{tmp_path}/job.yaml:1: datasets[0]")


def test_cocos_files_that_cannot_be_are_one_line(tmp_path: Path) -> None:
    content = coco_content(["gone.png"] * 12)
    with pytest.raises(RaybenchError, match=r"no picture gone\.png in .*images"):
        make_plan(load_job(write_job(tmp_path, content)))
    content = coco_content(write_pictures(tmp_path))
    content["annotations"][3]["category_id"] = 99
    with pytest.raises(RaybenchError, match="annotation 3 is of picture 13 and category 99; one of them is not there"):
        make_plan(load_job(write_job(tmp_path, content)))


@pytest.mark.parametrize("kind", TELL_BOXES)
def test_processors_of_architectures_that_are_not_asked_tell_boxes(kind: str) -> None:
    assert callable(detection_processing(ModelSpec(reference=f"arch:{kind}")))
