"""What a dataset's rows hang on beside its spec, told without reading them: the stamps of the files they come from.

    origin(spec, task.columns)        # JSON-like, equal: equal rows; None where that cannot be known

It is known of files here, of saved datasets, of packaged functions and of commits of the hub. Not of code beside the
job file, which may read anything, of URLs, of what the hub has today, nor of files that other files name by path.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raybench.core import Column
from raybench.core.errors import DataError
from raybench.core.stamps import file_stamps, tree_stamps
from raybench.data import packaged
from raybench.data.columns import PICTURE_KINDS
from raybench.data.files import FORMATS, find_files, format_of
from raybench.data.packaged.files import files_of
from raybench.job.spec import DatasetSpec

__all__ = ["origin"]

_FOLDERS = ("imagefolder", "audiofolder")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PACKAGED = f"{packaged.__name__}:"


def origin(spec: DatasetSpec, columns: Sequence[Column]) -> Any:
    """Stamps or a commit; None: read the rows to know them."""
    names_files = any(column.kind in PICTURE_KINDS for column in columns)  # by their paths, in its cells
    local = Path(spec.source)
    if spec.source in _FOLDERS:
        return _stamps(spec.data_files or {}, trees=True)
    if spec.source.startswith(_PACKAGED):
        files = files_of(spec.source.removeprefix(_PACKAGED))
        return file_stamps(files) if files else None
    if names_files:
        return None
    if spec.source in FORMATS:
        return _stamps(spec.data_files or {})
    if local.is_file() and format_of(spec.source):
        return _stamps({"train": (spec.source,)})
    if (local / "dataset_dict.json").is_file() or (local / "state.json").is_file():
        return tree_stamps(local)
    is_commit = spec.revision is not None and _COMMIT.fullmatch(spec.revision) is not None
    return ["commit", spec.revision] if is_commit and not spec.data_files and not local.exists() else None


def _stamps(data_files: Any, *, trees: bool = False) -> list[Any] | None:
    found: list[Any] = []
    for split, patterns in data_files.items():
        try:
            files = find_files(patterns)
        except DataError:
            return None  # whoever reads them says why they cannot be read
        parts = [tree_stamps(file) for file in files] if trees else [file_stamps(files)]
        if None in parts or any("://" in file for file in files):
            return None
        found.append([split, files, parts])
    return found
