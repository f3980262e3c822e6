"""Files of a Python package that holds data, found without importing it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from raybench.core.errors import DataError

__all__ = ["package_directory"]


def package_directory(name: str, what: str, install: str) -> Path:
    """Its directory; DataError that says what is missing and how to install it."""
    package = importlib.util.find_spec(name)
    if package is None or package.origin is None:
        raise DataError(f"{what} not installed: {install}", key=("source",))
    return Path(package.origin).parent
