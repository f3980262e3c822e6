"""A source's columns under the task's names and in its types: inputs, targets (labels as names), pictures.

A column is found by the job's `columns`, else by its canonical name; one that is missing is an error that names
those there are. `columns: {source: translation.de}` is a field of a struct; of lists of texts, `"ending0, ending1"` are
several columns as one. Empty cells (null) are errors too: which rows a user wants to leave out is theirs to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core import Column
from raybench.core.errors import DataError
from raybench.core.large_columns import gather
from raybench.core.suggestion import did_you_mean
from raybench.data.fingerprint import RowHashes
from raybench.data.images import canonical_images, image_paths
from raybench.data.kinds import LABEL_KINDS, LIST_LABEL_KINDS, as_text, read_cells, refuse_null
from raybench.data.labels import class_names, label_lists, label_names
from raybench.data.objects import object_columns, object_names
from raybench.data.raw_split import RawSplit, SplitReader
from raybench.data.sounds import canonical_sounds

__all__ = ["PICTURE_KINDS", "Rows", "canonical_rows", "map_columns", "refuse_repeated"]

PICTURE_KINDS = {"image": canonical_images, "mask": canonical_images, "audio": canonical_sounds}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A split's rows in the source's order: inputs, targets (labels as names), content hashes of the inputs."""

    columns: dict[str, pa.ChunkedArray]
    targets: dict[str, pa.ChunkedArray]  # what no model is given; no part of ids
    slices: dict[str, pa.ChunkedArray]  # values by which scores are split, as text; no part of the content
    pictures: dict[str, str]  # the columns that may still be encoded, and their kind: image, mask or audio
    paths: dict[str, pa.ChunkedArray]  # of these, where the source has them: for errors
    label_column: str | None  # the target whose cells are names of labels
    declared: tuple[str, ...]  # the labels that the source says there are
    ids: pa.ChunkedArray | None
    hashes: RowHashes
    numbers: np.ndarray  # the row's number in the source
    later: Callable[[Rows], Rows] | None = None  # reads `columns` and `paths`, where they are not there yet

    @property
    def num_rows(self) -> int:
        return len(self.numbers)

    @property
    def labels(self) -> pa.ChunkedArray | None:
        """Names of labels: strings, or lists of them."""
        return None if self.label_column is None else self.targets[self.label_column]

    def take(self, rows: np.ndarray) -> Rows:
        return Rows(
            columns={name: gather(column, rows) for name, column in self.columns.items()},
            targets={name: gather(column, rows) for name, column in self.targets.items()},
            slices={name: gather(column, rows) for name, column in self.slices.items()},
            pictures=self.pictures,
            paths={name: gather(column, rows) for name, column in self.paths.items()},
            label_column=self.label_column,
            declared=self.declared,
            ids=gather(self.ids, rows) if self.ids is not None else None,
            hashes=self.hashes.take(rows),
            numbers=self.numbers[rows],
            later=self.later,
        )

    def whole(self) -> Rows:
        """The same rows with their inputs."""
        return self if self.later is None else self.later(self)

    def picture_names(self, column: str) -> list[str]:
        """Each picture or sound by its path, or by its number in the source."""
        paths = self.paths[column].to_pylist() if column in self.paths else [None] * self.num_rows
        return [path or f"row {number}" for path, number in zip(paths, self.numbers, strict=True)]


def map_columns(
    read: SplitReader, columns: tuple[Column, ...], given: Mapping[str, str], split: str
) -> tuple[dict[str, str], RawSplit]:
    """{canonical name: source's name} and the split with these columns; DataError for one that is not there."""
    known = {column.name for column in columns} | {"id"}
    for name in given:
        if name not in known:
            raise DataError(f"unknown column {name!r} of the task{did_you_mean(name, known)}", key=("columns", name))
    wanted = known | set(given.values())
    raw = _with_fields(read(wanted | {name.partition(".")[0] for name in wanted}), given.values())
    if not raw.column_names:
        raise DataError(f"split {split!r} is empty", key=("splits",))
    for column in columns:
        if column.kind == "record":
            raw = _with_record(read, raw, column.name, columns, given, split)
            given = {name: source for name, source in given.items() if name != column.name}
        elif (
            column.kind == "texts" and "," in (listed := given.get(column.name, "")) and listed not in raw.column_names
        ):
            raw = _with_texts(read, raw, listed, column.name, split)
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
    targets: dict[str, pa.ChunkedArray] = {}
    slices: dict[str, pa.ChunkedArray] = {}
    paths: dict[str, pa.ChunkedArray] = {}
    label_column: str | None = None
    declared: tuple[str, ...] = ()
    for column in columns:
        if column.name not in mapping:
            continue
        source = mapping[column.name]
        cells = table[source]
        key = ("columns", column.name)
        try:
            if column.kind == "slice":
                slices[column.name] = pc.fill_null(as_text(cells, f"slice column {source!r}"), "")
                continue
            refuse_null(cells, source)
            if column.kind in LABEL_KINDS:
                label_column, declared = column.name, class_names(table, source)
                read = label_lists if column.kind in LIST_LABEL_KINDS else _label_names
                targets[column.name] = read(cells, declared, source)
                continue
            if column.kind == "objects":
                label_column, declared = "labels", object_names(table, source)
                targets |= object_columns(cells, declared, source)
                continue
            into = targets if column.role == "target" else inputs
            if column.kind in PICTURE_KINDS:
                into[column.name] = PICTURE_KINDS[column.kind](cells, source, directory)
                refuse_null(into[column.name], source)
                if (of_pictures := image_paths(cells)) is not None:
                    paths[column.name] = of_pictures
            else:
                into[column.name] = read_cells(column.kind, cells, source)
                if column.kind == "text" and column.required:
                    _refuse_all_empty(into[column.name], source)
        except DataError as error:
            raise DataError(f"split {split!r}: {error}", key=key) from error.__cause__
    ids = _ids(table[mapping["id"]], mapping["id"], split) if "id" in mapping else None
    return Rows(
        columns=inputs,
        targets=targets,
        slices=slices,
        pictures={column.name: column.kind for column in columns if column.kind in PICTURE_KINDS},
        paths=paths,
        label_column=label_column,
        declared=declared,
        ids=ids,
        hashes=RowHashes.of(list(inputs.values())),
        numbers=np.arange(table.num_rows),
    )


def _with_fields(raw: RawSplit, sources: Iterable[str]) -> RawSplit:
    """The split with the fields of structs that `struct.field` names as columns of their own."""
    table, names = raw
    for source in sources:
        head, _, field = source.partition(".")
        if source in names or not field or head not in table.column_names:
            continue
        kind = table.schema.field(head).type
        if pa.types.is_struct(kind) and kind.get_field_index(field) >= 0:
            table = table.append_column(source, pc.struct_field(table[head], field))
            names = (*names, source)
    return RawSplit(table, names)


def _listed(raw: RawSplit, listed: str, name: str, split: str) -> list[str]:
    """The columns of a list such as "ending0, ending1"; DataError for one that is not there."""
    parts = [part.strip() for part in listed.split(",")]
    for part in parts:
        if part not in raw.column_names:
            near = did_you_mean(part, raw.column_names, noun="columns of the source")
            raise DataError(f"split {split!r} has no column {part!r}{near}", key=("columns", name))
    return parts


def _with_texts(read: SplitReader, raw: RawSplit, listed: str, name: str, split: str) -> RawSplit:
    """The split with several of its columns, such as "ending0, ending1", side by side as one column of lists."""
    parts = _listed(raw, listed, name, split)
    table = read(parts).table
    for part in parts:
        refuse_null(table[part], part)
    texts = [as_text(table[part], f"column {part!r}").to_pylist() for part in parts]
    lists = pa.chunked_array([pa.array(list(zip(*texts, strict=True)), pa.list_(pa.string()))])
    return RawSplit(raw.table.append_column(listed, lists), (*raw.column_names, listed))


def _with_record(
    read: SplitReader,
    raw: RawSplit,
    name: str,
    columns: tuple[Column, ...],
    given: Mapping[str, str],
    split: str,
) -> RawSplit:
    """The split with several of its columns as one of structs: those listed, else all that nothing reads."""
    taken = {given.get(column.name, column.name) for column in columns if column.name != name} | {given.get("id", "id")}
    listed = _listed(raw, given[name], name, split) if name in given else []
    for part in listed:
        if part in taken:
            raise DataError(f"column {part!r} cannot be both in {name} and what is asked for", key=("columns", name))
    fields = listed or [field for field in raw.column_names if field not in taken]
    if not fields:
        raise DataError(f"split {split!r} has no column beside those of the task, to tell from", key=("columns",))
    cells = read(fields).table.select(fields)
    struct = pa.chunked_array([cells.to_struct_array().combine_chunks()])
    table = raw.table.drop_columns([name]) if name in raw.table.column_names else raw.table
    return RawSplit(table.append_column(name, struct), (*raw.column_names, name))


def _label_names(cells: pa.ChunkedArray, declared: tuple[str, ...], source: str) -> pa.ChunkedArray:
    labels = label_names(cells, declared, source)
    refuse_null(pc.if_else(pc.equal(labels, ""), None, labels), source)
    return labels


def _refuse_all_empty(texts: pa.ChunkedArray, source: str) -> None:
    if not any(pc.max(pc.utf8_length(pc.utf8_trim_whitespace(chunk))).as_py() for chunk in texts.chunks):
        raise DataError(f"text column {source!r} is empty in all {len(texts)} rows")


def _ids(cells: pa.ChunkedArray, source: str, split: str) -> pa.ChunkedArray:
    key = ("columns", "id")
    try:
        refuse_null(cells, source)
        ids = as_text(cells, f"id column {source!r}")
    except DataError as error:
        raise DataError(f"split {split!r}: {error}", key=key) from error.__cause__
    refuse_repeated(ids, source, split)
    return ids


def refuse_repeated(ids: pa.ChunkedArray, source: str, split: str) -> None:
    """DataError where two rows have one id."""
    counts = pc.value_counts(ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        first = repeated[0]["values"].as_py()
        told = f"split {split!r}: id column {source!r} holds {first!r} more than once"
        raise DataError(told, key=("columns", "id"))
