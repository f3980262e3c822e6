"""A source's columns under the task's names and in its types: text, labels as names, pictures.

A column is found by the job's `columns`, else by its canonical name; one that is missing is an error that names
those there are. Empty cells (null) are errors too: which rows a user wants to leave out is theirs to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core import Column
from raybench.core.errors import DataError, told
from raybench.core.suggestion import did_you_mean
from raybench.data.files import RawSplit, SplitReader
from raybench.data.fingerprint import RowHashes
from raybench.data.images import canonical_images, image_paths
from raybench.data.labels import class_names, label_names

__all__ = ["Rows", "canonical_rows", "map_columns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A split's rows in the source's order: inputs, labels as names, content hashes of the inputs."""

    columns: dict[str, pa.ChunkedArray]
    slices: dict[str, pa.ChunkedArray]  # values by which scores are split, as text; no part of the content
    images: frozenset[str]  # the columns that may still be encoded pictures
    paths: dict[str, pa.ChunkedArray]  # of pictures, where the source has them: for errors
    labels: pa.ChunkedArray | None
    declared: tuple[str, ...]  # the labels that the source says there are
    ids: pa.ChunkedArray | None
    hashes: RowHashes
    numbers: np.ndarray  # the row's number in the source, for errors

    @property
    def num_rows(self) -> int:
        return len(self.numbers)

    def take(self, rows: np.ndarray) -> Rows:
        index = pa.array(rows)
        return Rows(
            columns={name: column.take(index) for name, column in self.columns.items()},
            slices={name: column.take(index) for name, column in self.slices.items()},
            images=self.images,
            paths={name: column.take(index) for name, column in self.paths.items()},
            labels=self.labels.take(index) if self.labels is not None else None,
            declared=self.declared,
            ids=self.ids.take(index) if self.ids is not None else None,
            hashes=self.hashes.take(rows),
            numbers=self.numbers[rows],
        )

    def picture_names(self, column: str, rows: np.ndarray) -> list[str]:
        """Each picture by its path, or by its number in the source."""
        paths = self.paths[column].take(pa.array(rows)).to_pylist() if column in self.paths else [None] * len(rows)
        return [path or f"row {number}" for path, number in zip(paths, self.numbers[rows], strict=True)]


def map_columns(
    read: SplitReader, columns: tuple[Column, ...], given: Mapping[str, str], split: str
) -> tuple[dict[str, str], RawSplit]:
    """{canonical name: source's name} and the split with these columns; DataError for one that is not there."""
    known = {column.name for column in columns} | {"id"}
    for name in given:
        if name not in known:
            raise DataError(f"unknown column {name!r} of the task{did_you_mean(name, known)}", key=("columns", name))
    raw = read(known | set(given.values()))
    if not raw.column_names:
        raise DataError(f"split {split!r} is empty", key=("splits",))
    mapping = {}
    for name in sorted(known):
        source = given.get(name, name)
        if source in raw.column_names:
            if name in given or name != "id":
                mapping[name] = source
        elif name in given or any(column.name == name and column.required for column in columns):
            near = did_you_mean(source, raw.column_names, noun="columns of the source")
            listed = f" (columns of the source: {', '.join(raw.column_names)})" if "did you mean" in near else ""
            how = "" if name in given else f"; or say which it is: columns: {{{name}: …}}"
            raise DataError(
                f"split {split!r} has no column {source!r}{near}{listed}{how}",
                key=("columns", name) if name in given else ("columns",),
            )
    _refuse_shared(mapping, columns)
    return mapping, raw


def _refuse_shared(mapping: Mapping[str, str], columns: tuple[Column, ...]) -> None:
    """DataError where two of the task's columns are one of the source: a label among the inputs tells itself."""
    read: dict[str, str] = {}
    for column in columns:
        source = mapping.get(column.name)
        if source is None or column.kind == "slice":
            continue
        if source in read:
            raise DataError(
                f"{read[source]} and {column.name} are both read from column {source!r}; each needs its own",
                key=("columns", column.name),
            )
        read[source] = column.name


def canonical_rows(
    table: pa.Table, mapping: Mapping[str, str], columns: tuple[Column, ...], split: str, directory: Path
) -> Rows:
    """The split's rows; DataError for null cells, cells of a wrong type and ids that repeat."""
    inputs: dict[str, pa.ChunkedArray] = {}
    slices: dict[str, pa.ChunkedArray] = {}
    paths: dict[str, pa.ChunkedArray] = {}
    labels: pa.ChunkedArray | None = None
    declared: tuple[str, ...] = ()
    for column in columns:
        if column.name not in mapping:
            continue
        source = mapping[column.name]
        cells = table[source]
        key = ("columns", column.name)
        try:
            if column.kind != "slice":
                _refuse_null(cells, source)
            if column.kind == "label":
                declared = class_names(table, source)
                labels = label_names(cells, declared, source)
                _refuse_null(pc.if_else(pc.equal(labels, ""), None, labels), source)
            elif column.kind == "text":
                inputs[column.name] = _text(cells, source)
                if column.required:
                    _refuse_all_empty(inputs[column.name], source)
            elif column.kind == "slice":
                slices[column.name] = pc.fill_null(_as_text(cells, f"slice column {source!r}"), "")
            elif column.kind == "image":
                inputs[column.name] = canonical_images(cells, source, directory)
                _refuse_null(inputs[column.name], source)
                if (of_pictures := image_paths(cells)) is not None:
                    paths[column.name] = of_pictures
            else:
                raise DataError(f"columns of {column.kind} ({source!r}) are not read yet")
        except DataError as error:
            raise DataError(f"split {split!r}: {error}", key=key) from error.__cause__
    ids = _ids(table[mapping["id"]], mapping["id"], split) if "id" in mapping else None
    return Rows(
        columns=inputs,
        slices=slices,
        images=frozenset(column.name for column in columns if column.kind == "image"),
        paths=paths,
        labels=labels,
        declared=declared,
        ids=ids,
        hashes=RowHashes.of(list(inputs.values())),
        numbers=np.arange(table.num_rows),
    )


def _text(cells: pa.ChunkedArray, source: str) -> pa.ChunkedArray:
    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise DataError(f"text column {source!r} holds {kind}, not text")
    return _as_text(cells, f"text column {source!r}")


def _refuse_all_empty(texts: pa.ChunkedArray, source: str) -> None:
    if pc.max(pc.utf8_length(pc.utf8_trim_whitespace(texts))).as_py() == 0:
        raise DataError(f"text column {source!r} is empty in all {len(texts)} rows")


def _as_text(cells: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    try:
        texts = cells.cast(pa.string())
        texts.validate(full=True)  # a cast takes text at its word
    except pa.ArrowException as error:
        raise DataError(f"{what} holds {cells.type} that is no text: {told(error)}") from error
    return texts


def _ids(cells: pa.ChunkedArray, source: str, split: str) -> pa.ChunkedArray:
    key = ("columns", "id")
    try:
        _refuse_null(cells, source)
        ids = _as_text(cells, f"id column {source!r}")
    except DataError as error:
        raise DataError(f"split {split!r}: {error}", key=key) from error.__cause__
    counts = pc.value_counts(ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        first = repeated[0]["values"].as_py()
        raise DataError(f"split {split!r}: id column {source!r} holds {first!r} more than once", key=key)
    return ids


def _refuse_null(cells: pa.ChunkedArray, source: str) -> None:
    if cells.null_count:
        first = pc.index(pc.is_null(cells), True).as_py()
        count = f"{cells.null_count} of {len(cells)} rows"
        raise DataError(f"column {source!r} is empty (null) in {count}, first in row {first}")
