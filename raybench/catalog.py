"""Catalogs are literal tables of name → "module:attribute", imported only when a name is asked for.

load_entry("method", "frozen", METHODS)            # the class Frozen
load_entry("method", "my_package.lora:Mine", METHODS)
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from raybench.errors import JobError
from raybench.suggestion import did_you_mean

__all__ = ["load_entry"]


def load_entry(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """What the table has under `name`, or what `module:attribute` leads to; JobError when there is nothing."""
    place = table.get(name, name if ":" in name else None)
    if place is None:
        raise JobError(f"unknown {kind} {name!r}{did_you_mean(name, table)}")
    module, _, attribute = place.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise JobError(f"{kind} {name!r}: cannot be imported: {error}") from error
