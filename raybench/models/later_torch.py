"""Configurations of transformers, imported without torch: what a plan asks of a checkpoint needs none of it.

    import_configurations()         # AutoConfig is there, torch is imported as soon as something of it is asked for

Each of them imports transformers.modeling_rope_utils, which imports torch at its beginning, whatever transformers'
environment says, and uses it in forward passes only. So while that one module is imported, another stands for torch.
Where transformers has changed, torch is imported as ever.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

__all__ = ["import_configurations"]

_IMPORTS_TORCH = "transformers.modeling_rope_utils"


class _LaterTorch(ModuleType):
    """Has what torch has, by importing it then."""

    def __init__(self) -> None:
        super().__init__("torch")
        self.__spec__ = importlib.util.find_spec("torch")  # by which transformers tells that there is one

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # asked for by `import torch.nn`, which would load such a part twice
            raise AttributeError(name)
        self.leave()
        torch = importlib.import_module("torch")
        if (holder := sys.modules.get(_IMPORTS_TORCH)) is not None:
            vars(holder)["torch"] = torch
        return getattr(torch, name)

    def leave(self) -> None:
        if sys.modules.get("torch") is self:
            del sys.modules["torch"]


def import_configurations() -> None:
    """Import what configurations need, and torch only where they cannot do without."""
    importlib.import_module("transformers.utils")
    if not {"torch", _IMPORTS_TORCH} & sys.modules.keys():
        later = sys.modules["torch"] = _LaterTorch()
        try:
            importlib.import_module(_IMPORTS_TORCH)
        except ImportError:
            later.leave()
            importlib.import_module("torch")
        finally:
            later.leave()
    importlib.import_module("transformers.models.auto.configuration_auto")
