"""Rows of several labels, and scenes of several objects, made from real texts and pictures of one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raybench.core.pictures import image_array
from raybench.data.packaged.bbc_news import bbc_news
from raybench.data.packaged.digits import digits

__all__ = ["bbc_mixtures", "digit_boxes", "digit_scenes"]

_WORDS = 30  # of each article
_SCENE = 96  # pixels a side
_SMALLEST, _LARGEST = 20, 48  # pixels that a digit is high and wide in a scene
_TRIES = 20  # to find room for a digit


def bbc_mixtures() -> dict[str, pa.Table]:
    """Beginnings of one to three BBC articles in a row, and the topics of all: columns text and labels.

    Made from `bbc_news`, a row an article of a split, the others drawn; each split of its own articles.
    """
    made = {}
    for place, (split, rows) in enumerate(sorted(bbc_news().items())):
        draw = np.random.default_rng(place)
        texts = [" ".join(text.split()[:_WORDS]) for text in rows["text"].to_pylist()]
        topics = rows["label"].to_pylist()
        parts = [[own, *draw.integers(0, len(texts), draw.integers(0, 3))] for own in range(len(texts))]
        made[split] = pa.table(
            {
                "text": [" ".join(texts[part] for part in row) for row in parts],
                "labels": [sorted({topics[part] for part in row}) for row in parts],
            }
        )
    return made


def digit_scenes() -> dict[str, pa.Table]:
    """One to four handwritten digits in a square of 16 × 16: which are there (labels) and how many (value).

    Made from `digits`, a scene a digit of a split, the others drawn; each split of its own digits.
    """
    made = {}
    for place, (split, rows) in enumerate(sorted(digits().items())):
        draw = np.random.default_rng(place)
        pictures = np.stack(
            [np.frombuffer(row["data"], dtype=np.uint8).reshape(8, 8) for row in rows["image"].to_pylist()]
        )
        names = rows["label"].to_pylist()
        scenes, labels, counts = np.zeros((len(names), 16, 16), dtype=np.uint8), [], []
        for own in range(len(names)):
            parts = [own, *draw.integers(0, len(names), draw.integers(0, 4))]
            for corner, part in zip(draw.permutation(4)[: len(parts)], parts, strict=True):
                top, left = 8 * (corner // 2), 8 * (corner % 2)
                scenes[own, top : top + 8, left : left + 8] = pictures[part]
            labels.append(sorted({str(names[part]) for part in parts}))
            counts.append(float(len(parts)))
        made[split] = pa.table({"image": image_array(scenes), "labels": labels, "value": counts})
    return made


def digit_boxes() -> dict[str, pa.Table]:
    """One to four handwritten digits, 20 to 48 pixels high and wide, somewhere in 96 × 96, none over another: columns
    image and objects {bbox, category}, each box around the ink.

    Synthetic scenes of real pictures: made from `digits`, a scene a digit of a split, the others, places and sizes
    drawn; each split of its own digits.
    """
    from PIL import Image

    made = {}
    for number, (split, rows) in enumerate(sorted(digits().items())):
        draw = np.random.default_rng(number)
        names, cells = rows["label"].to_pylist(), rows["image"].to_pylist()
        pictures = [Image.fromarray(np.frombuffer(cell["data"], dtype=np.uint8).reshape(8, 8)) for cell in cells]
        scenes = np.zeros((len(names), _SCENE, _SCENE), dtype=np.uint8)
        objects: list[list[dict[str, object]]] = []
        for own, scene in enumerate(scenes):
            objects.append([])
            for part in [own, *draw.integers(0, len(names), draw.integers(0, 4))]:
                side = int(draw.integers(_SMALLEST, _LARGEST + 1))
                digit = np.asarray(pictures[part].resize((side, side), Image.Resampling.BICUBIC))
                for top, left in draw.integers(0, _SCENE - side + 1, (_TRIES, 2)).tolist():
                    if scene[top : top + side, left : left + side].any():
                        continue
                    scene[top : top + side, left : left + side] = digit
                    down, right = (np.flatnonzero((digit > 32).any(axis=axis)) for axis in (1, 0))
                    box = [left + right[0], top + down[0], right[-1] + 1 - right[0], down[-1] + 1 - down[0]]
                    objects[-1].append({"bbox": [float(side) for side in box], "category": str(names[part])})
                    break
        made[split] = pa.table({"image": image_array(scenes), "objects": objects})
    return made
