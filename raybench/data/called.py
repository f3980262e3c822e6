"""Sources that are code: which functions may give rows, and calling them.

called(spec, directory)      # of DatasetSpec(source="mine.py:load"), what load() returns

Says nothing of what they give; `sources.py` makes tables of it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from raybench.core.code import module_file
from raybench.core.errors import DataError, summary
from raybench.core.suggestion import did_you_mean
from raybench.data import packaged
from raybench.job.spec import DatasetSpec

__all__ = ["called"]

_OURS = "raybench.data.packaged"


def called(spec: DatasetSpec, directory: Path) -> Any:
    """What `module:function` or `file.py:function` returns: code of a module beside the job file, or of raybench.

    A job may come from someone else than the code it runs beside, so what a module has imported is not called either.
    """
    name, _, attribute = spec.source.rpartition(":")
    file = _file_of(name, directory)
    if file is None:
        raise DataError(
            f"source {spec.source!r}: no module {name} beside the job file, in {directory}; code that gives rows is "
            f"run from there alone, or from {_OURS}",
            key=("source",),
        )
    try:
        module = _module(name, file, directory)
    except DataError:
        raise
    except ImportError as error:
        raise DataError(f"source {spec.source!r}: its module cannot be imported: {error}", key=("source",)) from error
    except SyntaxError as error:
        place = f"{error.filename}, line {error.lineno}"
        raise DataError(f"source {spec.source!r}: {error.msg} ({place})", key=("source",)) from error
    except (Exception, SystemExit) as error:
        raise DataError(f"source {spec.source!r}: its module raised {summary(error)}", key=("source",)) from error
    own = {key for key, value in vars(module).items() if callable(value) and _is_own(value, module, directory)}
    if attribute not in own:
        known = did_you_mean(attribute, [key for key in own if not key.startswith("_")], noun="functions")
        imported = f", it is from {_origin(given)}" if callable(given := vars(module).get(attribute)) else ""
        raise DataError(
            f"source {spec.source!r}: no function {attribute!r} is defined in {name}{imported}{known}", key=("source",)
        )
    function = getattr(module, attribute)
    try:
        return function() if spec.config is None else function(spec.config)
    except DataError:
        raise
    except (Exception, SystemExit) as error:
        raise DataError(f"source {spec.source!r} failed: {summary(error)}", key=("source",)) from error


def _file_of(name: str, directory: Path) -> Path | None:
    """The file that a source's code is in, or None where it is none that may be run."""
    if name == _OURS:
        return Path(packaged.__file__)
    if not name.endswith(".py"):
        return module_file(name, directory)
    path = Path(os.path.normpath(directory / name))
    return path if path.is_relative_to(os.path.normpath(directory)) and path.is_file() else None


def _module(name: str, file: Path, directory: Path) -> ModuleType:
    if name.endswith(".py"):
        found = importlib.util.spec_from_file_location(f"raybench_source_{file.stem}", file)
        assert found is not None
        assert found.loader is not None
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return module
    sys.path.insert(0, str(directory))
    try:
        module = importlib.import_module(name)
    finally:
        sys.path.remove(str(directory))
    if not module.__file__ or not file.samefile(module.__file__):
        raise DataError(
            f"source {name}: another module of this name is in use ({module.__file__ or 'built in'}); "
            f"give {file.name} another name, or write {file.name}:function",
            key=("source",),
        )
    return module


def _is_own(value: Any, module: ModuleType, directory: Path) -> bool:
    """Whether something callable was defined in this module, or in another one beside the job file."""
    origin = _origin(value)
    if origin == module.__name__ or (module.__name__ == _OURS and origin.startswith(f"{_OURS}.")):
        return True
    file, beside = getattr(sys.modules.get(origin), "__file__", None), module_file(origin, directory)
    return file is not None and beside is not None and beside.samefile(file)


def _origin(value: Any) -> str:
    """The module that something callable is from; of a `partial` that of its function."""
    while isinstance(value, functools.partial):
        value = value.func
    return str(getattr(value, "__module__", None))
