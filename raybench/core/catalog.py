"""Catalogs are literal tables of name → "module:attribute", imported only when a name is asked for.

load_entry("method", "frozen", METHODS)            # the class Frozen
load_entry("method", "my_package.lora:Mine", METHODS)
make_entry("method", "frozen", METHODS, Method)    # one of them, with all that a Method has
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from raybench.core.errors import JobError, RaybenchError, summary
from raybench.core.suggestion import did_you_mean

__all__ = ["import_place", "load_entry", "make_entry"]


def load_entry(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """What the table has under `name`, or what `module:attribute` leads to; JobError when there is nothing."""
    place = table.get(name, name if ":" in name else None)
    if place is None:
        raise JobError(f"unknown {kind} {name!r}{did_you_mean(name, table)}")
    return import_place(f"{kind} {name!r}", place)


def make_entry(kind: str, name: str, table: Mapping[str, str], wanted: type) -> Any:
    """An instance of what `name` leads to; JobError when it lacks anything that `wanted` declares."""
    entry = load_entry(kind, name, table)
    if not isinstance(entry, type):
        raise JobError(f"{kind} {name!r} is a {type(entry).__name__}; want a class like raybench's {wanted.__name__}")
    try:
        made = entry()
    except (Exception, SystemExit) as error:
        raise JobError(f"{kind} {name!r}: cannot be made without arguments: {summary(error)}") from error
    declared = [*vars(wanted).get("__annotations__", ()), *vars(wanted)]
    for member in declared:
        if not member.startswith("_") and not hasattr(made, member):
            raise JobError(f"{kind} {name!r}: has no {member}, which every {kind} has; see {wanted.__module__}")
    return made


def import_place(what: str, place: str) -> Any:
    """The attribute that `module:attribute` names; whatever its module raises while it is imported is a JobError."""
    module, _, attribute = place.partition(":")
    if not all(part.isidentifier() for part in module.split(".")) or not attribute.isidentifier():
        raise JobError(f"{what}: want module:attribute, such as my_module:MyClass")
    try:
        return getattr(import_module(module), attribute)
    except RaybenchError:
        raise
    except (ImportError, AttributeError) as error:
        raise JobError(f"{what}: cannot be loaded: {error}") from error
    except SyntaxError as error:
        place = f"{error.filename}, line {error.lineno}"
        raise JobError(f"{what}: cannot be loaded: {error.msg} ({place})") from error
    except (Exception, SystemExit) as error:
        raise JobError(f"{what}: cannot be loaded, its module raised: {summary(error)}") from error
