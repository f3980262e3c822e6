"""The columns of records by task, and how they are read. A table has one row an example and always `id` (string).

    classification     target int32, prediction int32, confidence float32, nll float64, rank int32, brier float64,
                       score float32 (two classes: logit 1 − logit 0), scores fixed_size_list<float32>[C] (log-odds)
    multilabel         targets, predictions list<int8>[L] (0 or 1), scores list<float32>[L] (logits)
    regression         target, prediction float64
    language model     nll float64 (sum over the row's tokens), num_tokens, num_words, num_bytes int64,
                       begins_with string (what the model was given before the text), of masked tokens num_right int64
    multiple choice    target, prediction, prediction_norm int32 (places among the example's choices), nll float64
    translation, summarisation, question answering, speech recognition
                       hypothesis string, references list<string> (of a question without an answer: empty),
                       of question answering null_odds float64 (score of no answer less that of the best span),
                       of texts written at_limit bool and, of the first reference, what a language model has
    token classification   target_tags, tags list<string> ("B-PER", "O")
    segmentation       intersection, predicted_pixels, target_pixels list<int64>[C] of an image
    detection          truth_boxes, boxes list<float> (x, y, width, height, one box after the other),
                       truth_labels, labels list<int32>, box_scores list<float32>,
                       optional truth_areas list<float>, truth_crowd list<bool>
    generation         features list<float32>[D] and real bool (FID, KID); probabilities list<float32>[C] (Inception)
    retrieval, recommendation
                       relevance, scores list<float>: the documents of one query, which so stay together

Any task may add `group` (document, query, speaker): equal values are drawn together in every interval; and `weight`
(a number from 0), how much a record counts.

Each reader refuses what is not of its kind or outside its range, with the column, the row and its id. A string where
a list of strings belongs is a list of one.
"""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa

from raybench.core.errors import MetricError

__all__ = [
    "Ragged",
    "class_targets",
    "column_of",
    "integer_lists_of",
    "integers_of",
    "is_text",
    "keys_of",
    "lists_of",
    "matrix_of",
    "numbers_of",
    "place_of",
    "refuse",
    "same_lengths",
    "strings_of",
    "text_lists_of",
]

_INT64 = 1 << 63


class Ragged(NamedTuple):
    """A list column: row n is `values[offsets[n] : offsets[n + 1]]`."""

    values: np.ndarray
    offsets: np.ndarray

    def row(self, n: int) -> np.ndarray:
        return self.values[self.offsets[n] : self.offsets[n + 1]]

    def row_of(self, place: int) -> int:
        """The row that the value at `place` is of."""
        return int(np.searchsorted(self.offsets, place, side="right")) - 1


def place_of(records: pa.Table, row: int) -> str:
    """How a row is named to the caller: "row 3 (id 'x')"."""
    name = records.column("id")[row].as_py() if "id" in records.column_names else None
    return f"row {row}" if name is None else f"row {row} (id {str(name)!r})"


def refuse(records: pa.Table, column: str, row: int, given: object, expected: str) -> NoReturn:
    """MetricError with column, row, what was given and what would do."""
    raise MetricError(f"column {column!r} has {given} in {place_of(records, row)}; expected {expected}")


def integers_of(records: pa.Table, column: str, *, low: int | None = None) -> np.ndarray:
    """An integer column as int64 [N] (small and unsigned types are widened first), none below `low`."""
    array = column_of(records, column)
    if not (pa.types.is_integer(array.type) or pa.types.is_boolean(array.type) or pa.types.is_null(array.type)):
        names = ", and names of classes into places in 'labels', as metrics.evaluate does"
        remedy = _remedy(array.type) + (names if is_text(array.type) else "")
        _refuse_kind(records, column, array.type, f"integers{remedy}")
    values = array.to_numpy()
    if values.dtype == np.uint64 and values.size and int(values.max()) >= _INT64:
        refuse(records, column, int(values.argmax()), int(values.max()), "at most 2**63 - 1")
    values = values.astype(np.int64)
    if low is not None and values.size and int(values.min()) < low:
        refuse(records, column, int(np.argmax(values < low)), int(values[values < low][0]), f"{low} or more")
    return values


def class_targets(
    records: pa.Table, labels: Any, ignore_index: int | None, column: str = "target"
) -> tuple[np.ndarray, np.ndarray]:
    """Targets [N] and which of them count: the one rule of all metrics that read a class.

    The ignore index drops its row, also where it is a class; whatever else is outside [0, C) is an error. Without
    labels there is no C, and from 0 up all are classes.
    """
    target = integers_of(records, column)
    kept = np.ones(target.size, dtype=bool) if ignore_index is None else target != ignore_index
    num_classes = inf if labels is None else len(labels)
    wrong = kept & ((target < 0) | (target >= num_classes))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        classes = "0 or more" if labels is None else f"0 to {len(labels) - 1}"
        ignored = "" if ignore_index is None else f", or {ignore_index} for a row to ignore"
        raise MetricError(f"{column} {target[row]} ({place_of(records, row)}) is no class: expected {classes}{ignored}")
    return target, kept


def numbers_of(records: pa.Table, column: str, *, low: float = -inf, high: float = inf, nan: bool = True) -> np.ndarray:
    """A numeric column as float64 [N], all from `low` to `high`, NaN only where it is allowed."""
    array = column_of(records, column)
    if not _is_number(array.type):
        _refuse_kind(records, column, array.type, f"numbers{_remedy(array.type)}")
    values = array.to_numpy().astype(np.float64)
    _require_range(records, column, values, np.arange(values.size), low, high, nan)
    return values


def strings_of(records: pa.Table, column: str) -> list[str]:
    """A string column; nulls are refused: an empty answer is "", a missing one is an error."""
    array = column_of(records, column)
    if not is_text(array.type):
        _refuse_kind(records, column, array.type, "strings")
    return [str(text) for text in array.to_pylist()]


def text_lists_of(records: pa.Table, column: str) -> list[list[str]]:
    """A column of lists of strings; a string is a list of one, never its letters."""
    array = column_of(records, column)
    if is_text(array.type) and not pa.types.is_null(array.type):
        return [[text] for text in array.to_pylist()]
    if pa.types.is_null(array.type) and not len(array):
        return []
    if not _is_list(array.type) or not (is_text(array.type.value_type)):
        _refuse_kind(records, column, array.type, "lists of strings")
    rows: list[list[str]] = array.to_pylist()
    for row, texts in enumerate(rows):
        if any(text is None for text in texts):
            raise MetricError(f"column {column!r} has a null in the list of {place_of(records, row)}")
    return rows


def lists_of(
    records: pa.Table, column: str, *, low: float = -inf, high: float = inf, nan: bool = True, nested: bool = False
) -> Ragged:
    """A list column of numbers, all from `low` to `high`; the values keep their type. `nested`: or of lists of them,
    one after the other."""
    array = column_of(records, column)
    if pa.types.is_null(array.type) and not len(array):
        return Ragged(np.empty(0), np.zeros(1, dtype=np.int64))
    if not _is_list(array.type):
        _refuse_kind(records, column, array.type, "lists of numbers")
    flat, offsets = _flattened(records, column, array)
    if nested and _is_list(flat.type):
        flat, inner = _flattened(records, column, pa.chunked_array([flat]))
        offsets = inner[offsets]
    if not _is_number(flat.type):
        remedy = _remedy(flat.type) if is_text(flat.type) else ""
        _refuse_kind(records, column, array.type, f"lists of numbers{remedy}")
    found = Ragged(flat.to_numpy(zero_copy_only=False), offsets)
    if flat.type == pa.uint64() and found.values.size and int(found.values.max()) >= _INT64:
        place = int(found.values.argmax())
        refuse(records, column, found.row_of(place), int(found.values[place]), "at most 2**63 - 1")
    if low != -inf or high != inf or not nan:
        rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        _require_range(records, column, found.values.astype(np.float64), rows, low, high, nan)
    return found


def matrix_of(
    records: pa.Table, column: str, width: int, *, low: float = -inf, high: float = inf, nan: bool = True
) -> np.ndarray:
    """A list column whose lists all have `width` entries, [N, width]."""
    values, offsets = lists_of(records, column, low=low, high=high, nan=nan)
    lengths = np.diff(offsets)
    if (lengths != width).any():
        row = int(np.flatnonzero(lengths != width)[0])
        raise MetricError(
            f"column {column!r} has {lengths[row]} entries in {place_of(records, row)}; expected {width}, one a label"
        )
    return values.reshape(-1, width)


def integer_lists_of(records: pa.Table, column: str, *, low: float = -inf, high: float = inf) -> Ragged:
    """A list column of integers."""
    found = lists_of(records, column, low=low, high=high)
    if found.values.size and found.values.dtype.kind not in "iu":
        place = int(np.argmax(found.values != np.rint(found.values)))
        kind = f"lists of {found.values.dtype}"
        _refuse_kind(records, column, kind, "lists of integers", found.row_of(place))
    return Ragged(found.values.astype(np.int64), found.offsets)


def same_lengths(records: pa.Table, columns: tuple[str, str], first: Ragged, second: Ragged) -> None:
    """MetricError unless two list columns have as many entries in every row."""
    differ = np.diff(first.offsets) != np.diff(second.offsets)
    if differ.any():
        row = int(np.flatnonzero(differ)[0])
        counts = [int(np.diff(ragged.offsets)[row]) for ragged in (first, second)]
        raise MetricError(f"{place_of(records, row)} has {counts[1]} {columns[1]} for {counts[0]} {columns[0]}")


def column_of(records: pa.Table, column: str) -> pa.ChunkedArray:
    """A column, once, without nulls, decoded if it is a dictionary."""
    if len(records.schema.get_all_field_indices(column)) != 1:
        times = "twice" if column in records.column_names else "not at all"
        raise MetricError(f"column {column!r} is there {times}; records have {', '.join(records.column_names)}")
    values = records.column(column)
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy()))
        raise MetricError(
            f"column {column!r} has {values.null_count} nulls, the first in {place_of(records, row)}; "
            "every record needs a value"
        )
    if pa.types.is_dictionary(values.type):
        return values.cast(values.type.value_type)
    return values


def keys_of(records: pa.Table, column: str) -> pa.ChunkedArray:
    """Ids or groups as strings: each a string or an integer."""
    array = column_of(records, column)
    if not (is_text(array.type) or pa.types.is_integer(array.type)):
        _refuse_kind(records, column, array.type, "strings or integers")
    return array if pa.types.is_string(array.type) else array.cast(pa.string())


def _flattened(records: pa.Table, column: str, values: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    array = values.combine_chunks()
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    if pa.types.is_fixed_size_list(array.type):
        offsets = np.arange(len(array) + 1, dtype=np.int64) * array.type.list_size
    else:
        offsets = np.asarray(array.offsets, dtype=np.int64)
        offsets = offsets - offsets[0]
    flat = array.flatten()
    if flat.null_count:
        row = Ragged(np.empty(0), offsets).row_of(int(np.argmax(flat.is_null().to_numpy(zero_copy_only=False))))
        raise MetricError(f"column {column!r} has nulls inside its lists, the first in {place_of(records, row)}")
    return flat, offsets


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind))


def _refuse_kind(
    records: pa.Table, column: str, kind: pa.DataType | str, expected: str, row: int | None = None
) -> NoReturn:
    """MetricError for a column of another kind, with the first row that shows it."""
    said = kind if isinstance(kind, str) else _kind(kind)
    values = records.column(column)
    if row is None and not isinstance(kind, str) and pa.types.is_floating(kind):
        floats = values.to_numpy().astype(np.float64)
        with np.errstate(invalid="ignore"):
            row = int(np.argmax(floats != np.rint(floats)))  # a fraction, if there is one
    shown = ""
    if len(values):
        given = repr(values[row or 0].as_py())
        shown = f"; {place_of(records, row or 0)} has {given if len(given) <= 60 else given[:60] + '…'}"
    raise MetricError(f"column {column!r} holds {said}; expected {expected}{shown}")


def _require_range(
    records: pa.Table, column: str, values: np.ndarray, rows: np.ndarray, low: float, high: float, nan: bool
) -> None:
    wrong = (values < low) | (values > high)
    if not nan:
        wrong |= np.isnan(values)
    if wrong.any():
        place = int(np.argmax(wrong))
        refuse(records, column, int(rows[place]), f"{values[place]:g}", _range(low, high))


def _range(low: float, high: float) -> str:
    if low == -inf and high == inf:
        return "a number"
    return f"a number from {low:g} to {high:g}" if high != inf else f"a number from {low:g} up"


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    types = pa.types
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind)


def _kind(kind: pa.DataType) -> str:
    return f"strings ({kind})" if is_text(kind) else str(kind)


def _remedy(kind: pa.DataType) -> str:
    if is_text(kind):
        return ": turn digits into numbers"
    if pa.types.is_fixed_size_list(kind) and kind.list_size == 1:
        return ", one a row: flatten it"
    if _is_list(kind):
        return ", one a row; scores of all classes are given as logits=… or probabilities=…"
    if pa.types.is_floating(kind):
        return ": cast it, if these are numbers of classes or counts"
    return ""
