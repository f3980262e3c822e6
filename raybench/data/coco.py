"""COCO's JSON of boxes as rows: a picture a row with its objects, crowds marked, pictures without objects kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raybench.core.errors import DataError

__all__ = ["coco_rows", "is_coco"]


def is_coco(content: Any) -> bool:
    """Whether this is what COCO's annotation files hold."""
    return isinstance(content, Mapping) and {"images", "annotations", "categories"} <= content.keys()


def coco_rows(content: Mapping[str, Any], file: str) -> list[dict[str, Any]]:
    """`image` (its path), `image_id` and `objects` {bbox, category, area, iscrowd} of each picture.

    Raises:
        DataError: an annotation of no picture or category, or pictures that are not where they are looked for.
    """
    try:
        names = {one["id"]: str(one["name"]) for one in content["categories"]}
        rows = {
            one["id"]: {"image": one["file_name"], "image_id": str(one["id"]), "objects": []}
            for one in content["images"]
        }
        for place, one in enumerate(content["annotations"]):
            if one["image_id"] not in rows or one["category_id"] not in names:
                raise DataError(
                    f"annotation {one.get('id', place)} is of picture {one['image_id']} and category "
                    f"{one['category_id']}; one of them is not there"
                )
            rows[one["image_id"]]["objects"].append(
                {
                    "bbox": one["bbox"],
                    "category": names[one["category_id"]],
                    "area": one.get("area"),
                    "iscrowd": one.get("iscrowd", 0),
                }
            )
    except (KeyError, TypeError) as error:
        raise DataError(f"COCO's JSON lacks {error}") from None
    if "://" not in file and rows:
        folder = _folder_of_pictures(Path(file), next(iter(rows.values()))["image"])
        for row in rows.values():
            row["image"] = str(folder / row["image"])
    return list(rows.values())


def _folder_of_pictures(file: Path, first: str) -> Path:
    """Beside the file, in images/, or in a folder named as the split is (instances_val2017.json: val2017/)."""
    tried = list(_candidates(file))
    for folder in tried:
        if (folder / first).is_file():
            return folder
    raise DataError(f"no picture {first} in {', '.join(str(folder) for folder in tried)}")


def _candidates(file: Path) -> Iterator[Path]:
    split = file.stem.rpartition("_")[2]
    for base in (file.parent, file.parent.parent):
        yield base
        yield base / "images"
        yield base / split
        yield base / "images" / split
