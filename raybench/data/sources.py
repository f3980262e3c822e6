"""Where rows come from: the splits that a dataset's source has, each with a reader that builds only what is wanted.

    readers = open_source(spec, directory)       # {"train": read, "test": read}
    readers["train"]({"text", "label"})          # RawSplit(table, column_names)

Files go to `files.py`, functions to `called.py`; saved datasets and hub ids come as Arrow tables or through `datasets`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from raybench.core.errors import DataError
from raybench.data.called import called
from raybench.data.files import FORMATS, find_files, format_of, read_files, subfolders
from raybench.data.parquet_files import ParquetFiles
from raybench.data.raw_split import RawSplit, SplitReader, project, refuse_twice, rows_split
from raybench.data.text_files import CsvFiles, JsonFiles
from raybench.job.spec import DatasetSpec

__all__ = ["open_source", "read_given"]

_IN_PIECES: dict[str, Callable[[list[str]], SplitReader]] = {
    "parquet": ParquetFiles,
    "csv": CsvFiles,
    "json": JsonFiles,
}


def open_source(spec: DatasetSpec, directory: Path) -> dict[str, SplitReader]:
    """The source's splits by its own names; DataError for a source that cannot be opened."""
    if spec.source in FORMATS:
        return _files(spec.source, spec.data_files or {})
    local = Path(spec.source)
    if local.is_file() and (format := format_of(spec.source)):
        return _files(format, {"train": (spec.source,)})
    if ":" in spec.source and "://" not in spec.source and not local.exists():
        return _tables(called(spec, directory), spec.source)
    if local.is_dir():
        return _tables(_saved(spec), spec.source)
    if local.is_absolute() or spec.source.startswith("."):
        raise DataError(f"no file or directory {spec.source}", key=("source",))
    return _tables(_hub(spec), spec.source)


def _files(format: str, data_files: Mapping[str, tuple[str, ...]]) -> dict[str, SplitReader]:
    found = {split: find_files(patterns) for split, patterns in data_files.items()}
    if format in ("imagefolder", "audiofolder") and list(found) == ["train"] and len(found["train"]) == 1:
        inside = subfolders(found["train"][0])
        found = {split: [folder] for split, folder in inside.items()} or found
    if format in _IN_PIECES:
        return {split: _IN_PIECES[format](files) for split, files in found.items()}
    return {split: functools.partial(read_files, format, files) for split, files in found.items()}


def _saved(spec: DatasetSpec) -> Any:
    """A directory that `save_to_disk` wrote, or one of data files as a hub repository has them."""
    import datasets

    folder = Path(spec.source)
    if (folder / "dataset_dict.json").exists() or (folder / "state.json").exists():
        return datasets.load_from_disk(str(folder))
    return _hub(spec)


def _hub(spec: DatasetSpec) -> Any:
    import datasets

    files = {split: list(names) for split, names in spec.data_files.items()} if spec.data_files else None
    retries = logging.getLogger("huggingface_hub")  # tells each of its five tries; the outcome is told once, below
    level = retries.level
    retries.setLevel(logging.ERROR)
    try:
        return datasets.load_dataset(spec.source, spec.config, revision=spec.revision, data_files=files)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"source {spec.source!r} cannot be loaded, neither from here nor from the hub: {type(error).__name__}: "
            f"{reason}; want a hub id that can be reached, {', '.join(FORMATS)} with data_files, a directory or "
            "module:function",
            key=("source",),
        ) from error
    finally:
        retries.setLevel(level)


def read_given(rows: Any) -> dict[str, SplitReader]:
    """Readers of rows in memory: one table, frame or Dataset for train, or a mapping of these by split."""
    return _tables(rows, "given")


def _tables(loaded: Any, source: str) -> dict[str, SplitReader]:
    """Readers of what a function or `datasets` gave: one table for train, or tables by split."""
    splits = loaded if isinstance(loaded, Mapping) else {"train": loaded}
    return {str(name): functools.partial(_project, rows, source) for name, rows in splits.items()}


def _project(rows: Any, source: str, wanted: Collection[str]) -> RawSplit:
    if isinstance(rows, list):
        return rows_split(rows, wanted)
    if isinstance(rows, pa.Table):
        table = rows
    elif hasattr(rows, "with_format") and hasattr(rows, "features"):  # datasets.Dataset
        metadata = rows.features.arrow_schema.metadata
        names = tuple(rows.column_names)
        kept = rows.select_columns([name for name in names if name in wanted])
        return RawSplit(kept.with_format("arrow")[:].replace_schema_metadata(metadata), names)
    elif type(rows).__module__.partition(".")[0] == "pandas":
        refuse_twice(rows.columns, wanted)
        table = pa.Table.from_pandas(rows[[name for name in rows.columns if name in wanted]], preserve_index=False)
        return RawSplit(table, tuple(map(str, rows.columns)))
    else:
        raise DataError(
            f"source {source!r} gave a {type(rows).__name__}; want a pyarrow.Table, a pandas.DataFrame, a "
            "datasets.Dataset, a list of dicts, or a dict of these by split",
            key=("source",),
        )
    return project(table, wanted)
