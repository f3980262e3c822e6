"""Rows of Parquet, CSV, JSON and folders of pictures or sounds, as Arrow tables; only the wanted columns are built.

Read with pyarrow and json, not `datasets`: those files need no download and no script, and `datasets` would first
copy them to Arrow under ~/.cache (a 100,000-row CSV: 0.33 s after 0.53 s of import, here 0.04 s), keyed by path and
time of change instead of content.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from raybench.core.errors import DataError, summary
from raybench.core.large_columns import bytes_column
from raybench.core.picture_files import picture_files
from raybench.data.audio_folder import audio_folder
from raybench.data.coco import coco_rows, is_coco
from raybench.data.file_kind import HEAD_BYTES, refuse_other_kind

__all__ = [
    "FORMATS",
    "RawSplit",
    "SplitReader",
    "find_files",
    "format_of",
    "project",
    "read_files",
    "refuse_twice",
    "rows_split",
    "subfolders",
]

_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json"}
_COMPRESSED = {".gz", ".bz2", ".xz", ".zst"}


class RawSplit(NamedTuple):
    """A split as its source has it: the wanted columns that there are, and the names of all."""

    table: pa.Table
    column_names: tuple[str, ...]


SplitReader = Callable[[Collection[str]], RawSplit]


def format_of(path: str) -> str | None:
    """The format that a file's name ends in, or None."""
    name = Path(path)
    suffixes = [suffix for suffix in name.suffixes if suffix not in _COMPRESSED]
    return _SUFFIXES.get(suffixes[-1]) if suffixes else None


def find_files(patterns: Iterable[str]) -> list[str]:
    """The files that paths, globs and URLs name; DataError for one that names none."""
    files: list[str] = []
    for pattern in patterns:
        try:
            system, path = fsspec.url_to_fs(pattern)
            found = [name for name in sorted(system.glob(path)) if "://" in pattern or Path(name).exists()]
        except Exception as error:  # of whatever file system the URL names
            raise DataError(f"{pattern} cannot be listed: {summary(error)}", key=("data_files",)) from error
        if not found:
            raise DataError(f"no file matches {pattern}", key=("data_files",))
        if special := [name for name in found if "://" not in pattern and not _is_ordinary(name)]:
            raise DataError(f"{special[0]} is neither a file nor a folder", key=("data_files",))
        files += [system.unstrip_protocol(name) if "://" in pattern else str(name) for name in found]
    return files


def read_files(format: str, files: Sequence[str], wanted: Collection[str]) -> RawSplit:
    """All rows of files of one format, in the order of the files."""
    parts = []
    for file in files:
        try:
            parts.append(_read(format, file, wanted))
        except DataError as error:
            raise DataError(f"{file} cannot be read as {format}: {error}", key=("data_files",)) from error
        except Exception as error:  # a torn file can make its reader raise anything
            raise DataError(f"{file} cannot be read as {format}: {summary(error)}", key=("data_files",)) from error
    names = tuple(dict.fromkeys(name for part in parts for name in part.column_names))
    try:
        table = pa.concat_tables([part.table for part in parts], promote_options="permissive")
    except pa.ArrowInvalid as error:
        raise DataError(f"files of one split differ in their columns: {error}", key=("data_files",)) from error
    return RawSplit(table, names)


def project(table: pa.Table, wanted: Collection[str]) -> RawSplit:
    """The wanted columns of a table; DataError where two have one name."""
    refuse_twice(table.column_names, wanted)
    kept = [name for name in table.column_names if name in wanted]
    return RawSplit(table.select(kept), tuple(table.column_names))


def refuse_twice(names: Iterable[str], wanted: Collection[str]) -> None:
    """DataError where two columns have one wanted name: which of them is meant?"""
    for name in wanted:
        if list(names).count(name) > 1:
            raise DataError(f"two columns are named {name!r}; rename one of them", key=("columns",))


def _is_ordinary(name: str) -> bool:
    return Path(name).is_file() or Path(name).is_dir()  # a pipe would be waited for without an end


def _read(format: str, file: str, wanted: Collection[str]) -> RawSplit:
    if format in ("imagefolder", "audiofolder"):
        return FORMATS[format](file, wanted)
    with _open(file) as opened:
        refuse_other_kind(opened.read(HEAD_BYTES), format)
    try:
        return FORMATS[format](file, wanted)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        if format != "parquet":
            _refuse_other_encoding(file)
        raise


def _refuse_other_encoding(file: str) -> None:
    with _open(file) as opened:
        content = opened.read()
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} is not UTF-8 (byte 0x{content[error.start]:02x}); save it as UTF-8") from error


def subfolders(folder: str) -> dict[str, str]:
    """The train, test and validation folders inside a folder."""
    return {name: str(Path(folder, name)) for name in ("train", "test", "validation") if Path(folder, name).is_dir()}


def _parquet(file: str, wanted: Collection[str]) -> RawSplit:
    with _open(file) as opened:
        parquet = pa.parquet.ParquetFile(opened)
        names = tuple(parquet.schema_arrow.names)
        refuse_twice(names, wanted)
        return RawSplit(parquet.read([name for name in names if name in wanted]), names)


def _csv(file: str, wanted: Collection[str]) -> RawSplit:
    """Wanted columns are text: pyarrow would read the label 01 as 1 and the text 7 as a number."""
    delimiter = "\t" if ".tsv" in Path(file).suffixes else ","
    parse = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=False)
    with _open(file) as opened:
        table = pa.csv.read_csv(opened, parse_options=parse, convert_options=convert)
    if table.num_columns == 1 and (others := set(";\t|") & set(table.column_names[0])):
        raise DataError(f"want columns parted by commas (or .tsv and tabs), got {others.pop()!r} in its first line")
    return project(table, wanted)


def _json(file: str, wanted: Collection[str]) -> RawSplit:
    """One object a line, one list of objects, or what COCO's annotation files hold; not pyarrow's reader, which turns
    text like 2024-01-01 into dates.
    """
    with _open(file) as opened:
        if (found := _json_lines(opened, wanted)) is not None:
            return found
    with _open(file) as opened:
        text = opened.read().decode("utf-8-sig")
    if '"annotations"' in text and '"categories"' in text and is_coco(content := _whole(text)):
        return rows_split(coco_rows(content, file), wanted)
    if text.lstrip()[:1] == "[":
        return rows_split(json.loads(text), wanted)
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        rows += [_object(line, number)] if line.strip() else []
    return rows_split(rows, wanted)


def _json_lines(lines: Iterable[bytes], wanted: Collection[str]) -> RawSplit | None:
    """Several objects, one a line, of which the wanted values alone are held; None for a file of another shape."""
    names: dict[str, None] = {}
    values: dict[str, list[Any]] = {}
    count = 0
    for number, line in enumerate(lines, start=1):
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        if not text.strip():
            continue
        if count == 0 and (text.lstrip()[0] != "{" or ('"annotations"' in text and '"categories"' in text)):
            return None  # a list, or COCO's, perhaps all in this line: it is read once
        try:
            row = _object(text, number)
        except DataError:
            if count == 0:
                return None
            raise
        if not isinstance(row, dict):
            return None
        values |= {name: [None] * count for name in row.keys() - names.keys() if name in wanted}
        names.update(dict.fromkeys(row))
        for name, column in values.items():
            column.append(row.get(name))
        count += 1
    columns = {name: _column(name, values[name]) for name in names if name in values}
    return RawSplit(pa.table(columns), tuple(names)) if count > 1 else None


def _object(line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"line {number} is no JSON object: {error}") from error


def _whole(text: str) -> Any:
    """The one value that a text is, or None."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _imagefolder(folder: str, wanted: Collection[str]) -> RawSplit:
    """Pictures below a folder; the label is the name of the folder that a picture lies in."""
    if not Path(folder).is_dir():
        raise DataError("want a folder of pictures")
    files = picture_files(folder)
    paths = pa.array(map(str, files), pa.string())
    columns: dict[str, Any] = {"image": None, "label": [path.parent.name for path in files], "path": paths}
    kept = {name: column for name, column in columns.items() if name in wanted}
    if "image" in kept:
        kept["image"] = _pictures(bytes_column(path.read_bytes() for path in files), paths)
    return RawSplit(pa.table(kept), tuple(columns))


def _pictures(content: pa.ChunkedArray, paths: pa.Array) -> pa.ChunkedArray:
    """Bytes and paths as `datasets` has them."""
    starts = itertools.accumulate(map(len, content.chunks), initial=0)
    pairs = [(chunk, paths.slice(start, len(chunk))) for chunk, start in zip(content.chunks, starts, strict=False)]
    return pa.chunked_array([pa.StructArray.from_arrays(pair, ["bytes", "path"]) for pair in pairs])


def _audiofolder(folder: str, wanted: Collection[str]) -> RawSplit:
    def read(file: str) -> RawSplit:
        return read_files(str(format_of(file)), [file], {*wanted, "file_name"})

    return RawSplit(*audio_folder(folder, wanted, read))


def rows_split(rows: Any, wanted: Collection[str]) -> RawSplit:
    """A list of mappings as a split."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError("want a list of objects, one a row")
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    if not all(isinstance(name, str) for name in names):
        raise DataError("want text as the keys of a row")
    columns = {name: _column(name, [row.get(name) for row in rows]) for name in names if name in wanted}
    return RawSplit(pa.table(columns), names)


def _column(name: str, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except Exception as error:  # pyarrow has no one exception for values that no column can hold
        raise DataError(
            f"column {name!r} holds values that no column can: {summary(error)}", key=("columns",)
        ) from error


def _open(file: str) -> Any:
    return fsspec.open(file, "rb", compression="infer").open()


FORMATS: dict[str, Callable[[str, Collection[str]], RawSplit]] = {
    "parquet": _parquet,
    "csv": _csv,
    "json": _json,
    "imagefolder": _imagefolder,
    "audiofolder": _audiofolder,
}
