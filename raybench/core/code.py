"""The user's own code that a job names, as part of what a trial is: the hash of its source and of what it imports.

    code_digests(["full", "mine:Method"], directory)      # {"mine:Method": "9f…"}: names of catalogs have none

Read are the module's file and, by its import statements, the modules beside the job file and those of its own package.
Nothing is run. What is imported by a name made at run time, and data files that the code reads, are not seen; other
packages stand with their versions in each trial's row.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from raybench.core.identity import bytes_hash

__all__ = ["code_digests", "module_file"]

_OURS = __name__.partition(".")[0]  # its results have a version of their own


class _Found(NamedTuple):
    file: Path | None  # None: a folder without __init__.py
    folders: Sequence[Path]  # where its submodules are; none where it is no package


def code_digests(names: Iterable[str], directory: Path) -> dict[str, str]:
    """The digest of each name that is `module:attribute` and not raybench's own."""
    own = {name for name in names if ":" in name and name.partition(":")[0].partition(".")[0] != _OURS}
    return {name: _digest(name.partition(":")[0], directory) for name in sorted(own)}


def module_file(name: str, directory: Path) -> Path | None:
    """The file of a module beside the job file, or None where there is none."""
    found = _locate(name, [directory])
    return found.file if found is not None else None


def _digest(module: str, directory: Path) -> str:
    top = module.partition(".")[0]
    installed = _folders_of_installed(top)
    files: dict[str, Path] = {}
    seen: set[str] = set()
    to_read = [module]
    while to_read:
        name = to_read.pop()
        if name in seen:
            continue
        seen.add(name)
        to_read += [name.rpartition(".")[0]] if "." in name else []  # importing a.b runs a too
        root = name.partition(".")[0]
        if root == _OURS:
            continue
        found = _locate(name, [*installed, directory] if root == top else [directory])
        if found is not None and found.file is not None:
            files[name] = found.file
            to_read += _imports(name, found)
    return bytes_hash(piece for name in sorted(files) for piece in (name.encode(), files[name].read_bytes()))


def _folders_of_installed(top: str) -> list[Path]:
    """Where Python finds a top-level module; a module of the same name beside the job file comes after it."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: a module without a spec, made by hand
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(folder).parent for folder in spec.submodule_search_locations]
    return [Path(spec.origin).parent] if spec.has_location and spec.origin else []


def _locate(name: str, folders: Sequence[Path]) -> _Found | None:
    """A module's file by its dotted name, as Python would find it in these folders."""
    found: _Found | None = None
    for part in name.split("."):
        if not part.isidentifier():
            return None
        found = _find(part, folders if found is None else found.folders)
        if found is None:
            return None
    return found


def _find(name: str, folders: Sequence[Path]) -> _Found | None:
    for folder in folders:
        if (folder / name / "__init__.py").is_file():
            return _Found(folder / name / "__init__.py", [folder / name])
        compiled = sorted(folder.glob(f"{name}.*.so")) if folder.is_dir() else []
        for file in (folder / f"{name}.py", *compiled):
            if file.is_file():
                return _Found(file, [])
    plain = [folder / name for folder in folders if (folder / name).is_dir()]
    return _Found(None, plain) if plain else None


def _imports(name: str, found: _Found) -> Iterator[str]:
    """Names of all modules that a module's file may import, relative ones made whole; some may be no modules."""
    assert found.file is not None
    if found.file.suffix != ".py":
        return
    package = name if found.folders else name.rpartition(".")[0]
    try:
        tree = ast.parse(found.file.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return  # whoever imports it says so
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from [base] if node.module else []
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names if alias.name != "*")
