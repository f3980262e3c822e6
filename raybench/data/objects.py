"""Objects in pictures, in the shapes that sources have them in, as columns of lists: labels, boxes, areas, crowd.

    object_columns(cells, names, "objects")     # {"labels": list<string>, "boxes": list<list<float64>>, …}

A cell is a list of objects or one object of lists: `bbox` (or box, boxes; four numbers), `category` (or category_id,
label; a name or a number), and where they are there `area` and `iscrowd`. A picture may have none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from raybench.core.errors import DataError
from raybench.data.labels import label_names

__all__ = ["OBJECT_COLUMNS", "object_columns", "object_names"]

OBJECT_COLUMNS = ("labels", "boxes", "areas", "crowd")
_NAMES = {
    "boxes": ("bbox", "box", "boxes", "bboxes"),
    "labels": ("category", "category_id", "categories", "label", "labels"),
    "areas": ("area", "areas"),
    "crowd": ("iscrowd", "is_crowd", "crowd"),
}


def object_names(table: pa.Table, column: str) -> tuple[str, ...]:
    """The names that a source of `datasets` declares for the numbers of categories, or none."""
    try:
        metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
        found = _names_in(metadata["info"]["features"][column])
    except (ValueError, KeyError, TypeError, AttributeError):  # other tools write there too
        return ()
    return tuple(found)


def _names_in(feature: Any) -> list[str]:
    """The first names of labels inside a feature, whatever it is nested in."""
    if isinstance(feature, Mapping):
        names = feature.get("names")
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
        feature = [value for key, value in feature.items() if key != "_type"]
    found = (_names_in(one) for one in feature) if isinstance(feature, list) else ()
    return next((names for names in found if names), [])


def object_columns(cells: pa.ChunkedArray, declared: tuple[str, ...], source: str) -> dict[str, pa.ChunkedArray]:
    """Lists of the same length in each row; DataError for an object that is none.

    `areas` are −1 and `crowd` is 0 where the source does not say.
    """
    columns: dict[str, list[list[Any]]] = {name: [] for name in OBJECT_COLUMNS}
    for row, cell in enumerate(cells.to_pylist()):
        objects = [_checked(one, f"objects {source!r}: row {row}") for one in _objects(cell, source, row)]
        for name, values in columns.items():
            values.append([one[name] for one in objects])
    flat = [label for row in columns["labels"] for label in row]
    try:
        names = label_names(pa.chunked_array([pa.array(flat)]), declared, source).to_pylist() if flat else []
    except pa.ArrowException:
        raise DataError(f"objects {source!r}: categories are partly names and partly numbers") from None
    told = iter(names)
    columns["labels"] = [[next(told) for _ in row] for row in columns["labels"]]
    kinds = {"labels": pa.string(), "boxes": pa.list_(pa.float64()), "areas": pa.float64(), "crowd": pa.int8()}
    return {name: pa.chunked_array([pa.array(values, pa.list_(kinds[name]))]) for name, values in columns.items()}


def _objects(cell: Any, source: str, row: int) -> Iterator[Mapping[str, Any]]:
    """One mapping an object, with our names."""
    if isinstance(cell, Mapping):
        lists = {name: value for name, value in _ours(cell).items() if value is not None}
        lengths = {name: len(value) for name, value in lists.items() if isinstance(value, list)}
        if len(lengths) < len(lists) or len(set(lengths.values())) > 1:
            raise DataError(f"objects {source!r}: row {row} has lists of {lengths} entries; want one each an object")
        yield from (dict(zip(lists, one, strict=True)) for one in zip(*lists.values(), strict=True))
    elif isinstance(cell, list) and all(isinstance(one, Mapping) for one in cell):
        yield from map(_ours, cell)
    else:
        raise DataError(f"objects {source!r}: row {row} holds {type(cell).__name__}; want objects {{bbox, category}}")


def _ours(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given[known] for name, all_known in _NAMES.items() for known in all_known[::-1] if known in given}


def _checked(one: Mapping[str, Any], where: str) -> dict[str, Any]:
    box, label = one.get("boxes"), one.get("labels")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(side) for side in box):
        raise DataError(f"{where} has a box of {box}; want four numbers")
    if label is None:
        raise DataError(f"{where} has an object without a category")
    area = one.get("areas")
    return {"labels": label, "boxes": box, "areas": -1.0 if area is None else area, "crowd": int(one.get("crowd") or 0)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
