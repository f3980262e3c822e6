"""Rows of Parquet, CSV, JSON and folders of pictures or sounds, as Arrow tables; only the wanted columns are built.

Read with pyarrow and json, not `datasets`: those files need no download and no script, and `datasets` would first
copy them to Arrow under ~/.cache (a 100,000-row CSV: 0.33 s after 0.53 s of import, here 0.04 s), keyed by path and
time of change instead of content.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet

from raybench.core.errors import DataError, summary
from raybench.core.large_columns import bytes_column
from raybench.core.picture_files import picture_files
from raybench.data.audio_folder import audio_folder
from raybench.data.csv_rows import csv_rows
from raybench.data.file_kind import HEAD_BYTES, refuse_other_kind
from raybench.data.json_rows import json_rows
from raybench.data.raw_split import RawSplit, open_file, refuse_twice

__all__ = ["FORMATS", "find_files", "format_of", "read_files", "refuse_other", "subfolders"]

_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json"}
_COMPRESSED = {".gz", ".bz2", ".xz", ".zst"}


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


def _is_ordinary(name: str) -> bool:
    return Path(name).is_file() or Path(name).is_dir()  # a pipe would be waited for without an end


def _read(format: str, file: str, wanted: Collection[str]) -> RawSplit:
    if format in ("imagefolder", "audiofolder"):
        return FORMATS[format](file, wanted)
    refuse_other(file, format)
    try:
        return FORMATS[format](file, wanted)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        if format != "parquet":
            _refuse_other_encoding(file)
        raise


def refuse_other(file: str, format: str) -> None:
    """DataError for a file that begins as one of another kind does."""
    with open_file(file) as opened:
        refuse_other_kind(opened.read(HEAD_BYTES), format)


def _refuse_other_encoding(file: str) -> None:
    with open_file(file) as opened:
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
    with open_file(file) as opened:
        parquet = pa.parquet.ParquetFile(opened)
        names = tuple(parquet.schema_arrow.names)
        refuse_twice(names, wanted)
        return RawSplit(parquet.read([name for name in names if name in wanted]), names)


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


FORMATS: dict[str, Callable[[str, Collection[str]], RawSplit]] = {
    "parquet": _parquet,
    "csv": csv_rows,
    "json": json_rows,
    "imagefolder": _imagefolder,
    "audiofolder": _audiofolder,
}
