"""Parts of transformers, imported without torch: what a plan asks of a checkpoint needs none of it.

    import_configurations()         # AutoConfig is there, torch is imported as soon as something of it is asked for
    import_without_torch("transformers.models.whisper.feature_extraction_whisper")

Each configuration imports transformers.modeling_rope_utils, which imports torch at its beginning, whatever
transformers' environment says, and uses it in forward passes only; so do feature extractors, which use it on sounds.
So while such a module is imported, another stands for torch. Where transformers has changed, torch is imported as ever.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

from raybench.models.import_structure import remember_folders

__all__ = ["import_configurations", "import_without_torch"]

_IMPORTS_TORCH = "transformers.modeling_rope_utils"


class _LaterTorch(ModuleType):
    """Has what torch has, by importing it then."""

    def __init__(self, holder: str) -> None:
        super().__init__("torch")
        self.__spec__ = importlib.util.find_spec("torch")  # by which transformers tells that there is one
        self._holder = holder  # the module that is imported meanwhile

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # asked for by `import torch.nn`, which would load such a part twice
            raise AttributeError(name)
        self.leave()
        torch = importlib.import_module("torch")
        if (holder := sys.modules.get(self._holder)) is not None:
            vars(holder)["torch"] = torch
        return getattr(torch, name)

    def leave(self) -> None:
        if sys.modules.get("torch") is self:
            del sys.modules["torch"]


def import_configurations() -> None:
    """Import what configurations need, and torch only where they cannot do without."""
    remember_folders()
    importlib.import_module("transformers.utils")
    import_without_torch(_IMPORTS_TORCH)
    importlib.import_module("transformers.models.auto.configuration_auto")


def import_without_torch(name: str) -> None:
    """Import a module unless torch is there, so that nothing is gained; and torch only where it cannot do without."""
    if {"torch", name} & sys.modules.keys():
        return
    later = sys.modules["torch"] = _LaterTorch(name)
    try:
        importlib.import_module(name)
    except ImportError:
        later.leave()
        importlib.import_module("torch")
    finally:
        later.leave()
