"""Files of a Python package that holds data, found without importing it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from raybench.core.errors import DataError

__all__ = ["package_directory"]


def package_directory(name: str, what: str, install: str) -> Path:
    """Its directory; DataError that says what is missing and how to install it."""
    try:
        package = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # of a part of another package
        package = None
    if package is None or not package.submodule_search_locations:
        raise DataError(f"{what} not installed: {install}", key=("source",))
    return Path(package.submodule_search_locations[0])
