"""Folders of sounds: the label is the name of the folder that a sound lies in, or a metadata file says what each is.

A metadata.csv or metadata.jsonl, as `datasets` has them, names each sound in `file_name` (from its own folder) and what
is known of it in other columns, such as `text`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import pyarrow as pa

from raybench.core.errors import DataError

__all__ = ["METADATA", "SOUNDS", "audio_folder"]

SOUNDS = {".aif", ".aiff", ".au", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"}
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
Named = tuple[pa.Table, tuple[str, ...]]
_NAME = "file_name"


def audio_folder(folder: str, wanted: Collection[str], read: Callable[[str], Named]) -> Named:
    """The sounds below a folder as `audio` (bytes and path, as `datasets` has them), `path`, and what is known of each.

    The wanted columns, and the names of all; `read` reads those of a metadata file. Rows go by path.

    Raises:
        DataError: no folder, or metadata that names a sound which is not there, or not all that there are.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError("want a folder of sounds")
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in SOUNDS and path.is_file())
    files = [path for path in found if not path.name.startswith(".")]
    told = [file for name in METADATA for file in sorted(root.rglob(name))]
    if told:
        known, names = _metadata(told, read)
        files = _matched(known, files, told[0])
        columns = {name: known[name] for name in known.column_names if name != _NAME}
    else:
        columns, names = {"label": pa.array([path.parent.name for path in files], pa.string())}, ("label",)
    paths = pa.array(map(str, files), pa.string())
    if "audio" in wanted:
        content = pa.array([path.read_bytes() for path in files], pa.large_binary())
        columns["audio"] = pa.StructArray.from_arrays([content, paths], ["bytes", "path"])
    columns["path"] = paths
    named = tuple(dict.fromkeys(["audio", *names, "path"]))
    return pa.table({name: columns[name] for name in named if name in wanted}), named


def _metadata(files: list[Path], read: Callable[[str], Named]) -> Named:
    """The rows of metadata files, `file_name` as whole paths, by path; and the names of the other columns."""
    parts: list[pa.Table] = []
    names: dict[str, None] = {}
    for file in files:
        table, given = read(str(file))
        names |= dict.fromkeys(name for name in given if name != _NAME)
        if _NAME not in table.column_names:
            raise DataError(f"{file} has no column {_NAME!r}, which says whose row it is")
        whole = [str(file.parent / str(name)) for name in table[_NAME].to_pylist()]
        parts.append(table.set_column(table.column_names.index(_NAME), _NAME, pa.array(whole, pa.string())))
    return pa.concat_tables(parts, promote_options="permissive").sort_by(_NAME), tuple(names)


def _matched(known: pa.Table, files: list[Path], file: Path) -> list[Path]:
    """The sounds in the metadata's order."""
    names, there = known[_NAME].to_pylist(), {str(path): path for path in files}
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{file} names {twice} more than once")
    for name in names:
        if name not in there:
            raise DataError(f"{file} names {name}, which is not there or is no sound ({', '.join(sorted(SOUNDS))})")
    if others := sorted(there.keys() - set(names)):
        raise DataError(f"{len(others)} sounds are not named in {file}, such as {others[0]}; name or remove them")
    return [there[name] for name in names]
