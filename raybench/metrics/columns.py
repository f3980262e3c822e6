"""The columns of records by task, and how they are read. A table has one row an example and always `id` (string).

    classification     target int32, prediction int32, confidence float32, nll float64, rank int32, brier float64,
                       score float32 (two classes: logit 1 − logit 0), scores fixed_size_list<float32>[C] (ln p)
    multilabel         targets, predictions list<int8>[L] (0 or 1), scores list<float32>[L] (logits)
    regression         target, prediction float64
    language model     nll float64 (sum over the row's tokens), num_tokens, num_words, num_bytes int64
    translation, summarisation, question answering, speech recognition
                       hypothesis string, references list<string> (of a question without an answer: empty)
    token classification   target_tags, tags list<string> ("B-PER", "O")
    segmentation       intersection, predicted_pixels, target_pixels list<int64>[C] of an image
    detection          truth_boxes, boxes list<float> (x, y, width, height, one box after the other),
                       truth_labels, labels list<int32>, box_scores list<float32>,
                       optional truth_areas list<float>, truth_crowd list<bool>
    generation         features list<float32>[D] and real bool (FID, KID); probabilities list<float32>[C] (Inception)
    recommendation     relevance, scores list<float>: the documents of one query, which so stay together

Any task may add `group` (document, query, speaker): equal values are drawn together in every interval.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raybench.errors import MetricError

__all__ = ["Ragged", "integers_of", "lists_of", "matrix_of", "numbers_of", "strings_of"]


class Ragged(NamedTuple):
    """A list column: row n is `values[offsets[n] : offsets[n + 1]]`."""

    values: np.ndarray
    offsets: np.ndarray

    def row(self, n: int) -> np.ndarray:
        return self.values[self.offsets[n] : self.offsets[n + 1]]


def integers_of(records: pa.Table, column: str) -> np.ndarray:
    """An integer column as int64 [N] (small and unsigned types are widened first); nulls are refused."""
    return _without_nulls(records, column).to_numpy().astype(np.int64)


def numbers_of(records: pa.Table, column: str) -> np.ndarray:
    """A numeric column as float64 [N]; nulls are refused."""
    return _without_nulls(records, column).to_numpy().astype(np.float64)


def strings_of(records: pa.Table, column: str) -> list[str]:
    """A string column; nulls are refused: an empty answer is "", a missing one is an error."""
    return _without_nulls(records, column).to_pylist()


def lists_of(records: pa.Table, column: str) -> Ragged:
    """A list column of numbers; the values keep their type."""
    flat, offsets = _flattened(records, column)
    return Ragged(flat.to_numpy(zero_copy_only=False), offsets)


def matrix_of(records: pa.Table, column: str, width: int) -> np.ndarray:
    """A list column whose lists all have `width` entries, [N, width]."""
    values, offsets = lists_of(records, column)
    lengths = np.diff(offsets)
    if (lengths != width).any():
        row = int(np.flatnonzero(lengths != width)[0])
        raise MetricError(f"column {column!r} has {lengths[row]} entries in row {row}; expected {width}")
    return values.reshape(-1, width)


def _flattened(records: pa.Table, column: str) -> tuple[pa.Array, np.ndarray]:
    array = _without_nulls(records, column).combine_chunks()
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    if pa.types.is_fixed_size_list(array.type):
        offsets = np.arange(len(array) + 1, dtype=np.int64) * array.type.list_size
    else:
        offsets = np.asarray(array.offsets, dtype=np.int64)
        offsets = offsets - offsets[0]
    flat = array.flatten()
    if flat.null_count:
        raise MetricError(f"column {column!r} has nulls inside its lists")
    return flat, offsets


def _without_nulls(records: pa.Table, column: str) -> pa.ChunkedArray:
    values = records.column(column)
    if values.null_count:
        raise MetricError(f"column {column!r} has {values.null_count} nulls; every record needs a value")
    return values
