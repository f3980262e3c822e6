"""transformers reads its folders of models once when it is imported, not twice.

    remember_folders()
    import transformers

To know what there is without importing it, transformers reads the 2,000 files of its models: for itself, and again for
`transformers.models`. What it found it keeps by folder, but of 128 folders (functools.lru_cache), and there are 560.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

__all__ = ["remember_folders"]

_MODULE, _READS_A_FOLDER = "transformers.utils.import_utils", "create_import_structure_from_path"


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        found = PathFinder.find_spec(fullname, path)
        if found is None or not isinstance(found.loader, SourceFileLoader):
            return found
        loader = _Loader(fullname, found.loader.path)
        return importlib.util.spec_from_file_location(fullname, found.loader.path, loader=loader)


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        uncached = getattr(getattr(module, _READS_A_FOLDER, None), "__wrapped__", None)
        if uncached is not None:  # where transformers has changed, it is left as it is
            setattr(module, _READS_A_FOLDER, functools.cache(uncached))


def remember_folders() -> None:
    """For transformers to come; one that is imported stays as it is."""
    if _MODULE not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
