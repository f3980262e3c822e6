"""Labels of any type as names, and one dictionary of names for all splits.

Whole numbers sort as numbers, all else as text; a class label's integers become its names; true and false are
"true" and "false". So the same labels get the same indices whatever the file format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import DataError
from raybench.data.kinds import as_lists, is_list, is_text

__all__ = [
    "class_names",
    "encode",
    "encode_lists",
    "flat_names",
    "label_dictionary",
    "label_lists",
    "label_names",
    "refuse_strangers",
    "refuse_unseen",
]

_WHOLE = re.compile(r"-?(0|[1-9]\d*)")
_MAX_NAMED = 5


def class_names(table: pa.Table, column: str) -> tuple[str, ...]:
    """The names that a source of `datasets` declares for a column of integers, or of lists of them, or none."""
    try:
        metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = metadata["info"]["features"][column]
        names = feature.get("feature", feature)["names"]  # of a list: those of its elements
    except (ValueError, KeyError, TypeError, AttributeError):  # other tools write there too
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def label_names(column: pa.ChunkedArray, declared: tuple[str, ...], source: str) -> pa.ChunkedArray:
    """A column of labels as names; `source` is the column's name, for errors."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "true", "false")
    if pa.types.is_floating(kind):
        if not pc.all(pc.is_finite(column)).as_py():
            raise DataError(f"label column {source!r} holds NaN or infinity; a label is a name or a whole number")
        if pc.max(pc.abs(column)).as_py() >= 2**53:
            raise DataError(f"label column {source!r} holds numbers too large to be whole; write them as text")
        if not pc.all(pc.equal(column, pc.round(column))).as_py():
            raise DataError(f"label column {source!r} holds fractions; a label is a name or a whole number")
        column = column.cast(pa.int64())
    elif not (pa.types.is_integer(kind) or is_text(kind)):
        raise DataError(f"label column {source!r} holds {kind}; a label is text, a whole number or true/false")
    if declared and pa.types.is_integer(column.type):
        outside = pc.or_(pc.less(column, 0), pc.greater_equal(column, len(declared)))
        if (count := pc.sum(outside).as_py() or 0) > 0:
            row = pc.index(outside, True).as_py()
            raise DataError(
                f"{count} labels in {source!r} are outside the {len(declared)} that the source names, first "
                f"{column[row].as_py()} in row {row}; if this split hides its labels, choose another in splits"
            )
        return pc.take(pa.array(declared, pa.string()), column)
    return column.cast(pa.string())


def label_lists(column: pa.ChunkedArray, declared: tuple[str, ...], source: str) -> pa.ChunkedArray:
    """A column of lists of labels as lists of names."""
    if not is_list(column.type):
        raise DataError(f"label column {source!r} holds {column.type}; want lists of labels")
    lists = as_lists(column, column.type.value_type, source).combine_chunks()
    flat = pa.chunked_array([lists.flatten()])
    if flat.null_count:
        raise DataError(f"label column {source!r} holds an empty (null) label")
    kind = pa.list_(pa.string())
    names = label_names(flat, declared, source) if len(flat) else pa.chunked_array([], pa.string())
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(pc.list_value_length(lists).to_numpy(), dtype=np.int32)])
    return pa.chunked_array([pa.ListArray.from_arrays(pa.array(offsets), names.combine_chunks())], kind)


def flat_names(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The names in a column of names or of lists of them, one after the other."""
    return pc.list_flatten(column) if is_list(column.type) else column


def label_dictionary(names: Iterable[str]) -> tuple[str, ...]:
    """Names in their canonical order."""
    distinct = set(names)
    if all(_WHOLE.fullmatch(name) for name in distinct):
        return tuple(sorted(distinct, key=int))
    return tuple(sorted(distinct))


def encode(column: pa.ChunkedArray, labels: tuple[str, ...]) -> np.ndarray:
    """Names as int32 indices into `labels`."""
    return pc.index_in(column, value_set=pa.array(labels, pa.string())).to_numpy().astype(np.int32)


def encode_lists(column: pa.ChunkedArray, labels: tuple[str, ...]) -> pa.ChunkedArray:
    """Lists of names as list<int32> of indices into `labels`."""
    lists = column.combine_chunks()
    flat = encode(pa.chunked_array([lists.flatten()], pa.string()), labels)
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(pc.list_value_length(lists).to_numpy(), dtype=np.int32)])
    return pa.chunked_array([pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, pa.int32()))])


def refuse_unseen(names: Mapping[str, pa.ChunkedArray]) -> None:
    """DataError for labels of another split that the train split lacks: nothing could learn them."""
    if "train" not in names:
        return
    known = pc.unique(names["train"])
    for split, column in names.items():
        distinct = pc.unique(column)
        unseen = distinct.filter(pc.invert(pc.is_in(distinct, value_set=known))).to_pylist()
        if unseen:
            listed = ", ".join(map(repr, sorted(unseen)[:_MAX_NAMED])) + (", …" if len(unseen) > _MAX_NAMED else "")
            raise DataError(
                f"{len(unseen)} of {len(distinct)} labels are only in the {split} split, never in train: {listed}; "
                "nothing could learn them"
            )


def refuse_strangers(names: pa.ChunkedArray, labels: Sequence[str], like: str) -> None:
    """DataError for labels that are not among those fitted."""
    distinct = pc.unique(names)
    strange = distinct.filter(pc.invert(pc.is_in(distinct, value_set=pa.array(labels, pa.string())))).to_pylist()
    if strange:
        listed = ", ".join(map(repr, sorted(strange)[:_MAX_NAMED])) + (", …" if len(strange) > _MAX_NAMED else "")
        fitted = ", ".join(map(repr, labels[:_MAX_NAMED])) + (", …" if len(labels) > _MAX_NAMED else "")
        raise DataError(
            f"{len(strange)} of {len(distinct)} labels are none of those of {like!r}, which is fitted: {listed}; want "
            f"{fitted}",
            key=("columns",),
        )
