"""A module that torch compiles on its first call, and one line when that cannot be done here."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from raybench.core.errors import ModelError

__all__ = ["Compiled"]


class Compiled(nn.Module):
    """`module`, compiled once for all lengths and numbers of rows."""

    def __init__(self, module: nn.Module, reference: str) -> None:
        super().__init__()
        self.module = module
        self._reference = reference
        # torch counts the graphs of a class of networks over the whole process, and past eight runs the next ones
        # uncompiled without a word: every network begins with none; those still open are compiled again when called
        torch.compiler.reset()
        module.compile(dynamic=True)

    def forward(self, **inputs: Any) -> Any:
        """What the module puts out.

        Raises:
            ModelError: it cannot be compiled; mostly there is no C++ compiler.
        """
        try:
            return self.module(**inputs)
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo.", "torch._inductor.")):
                raise  # the module's own, such as too little memory
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = next((line for line in lines if not line.startswith("backend=")), type(error).__name__)
            if "compiler found" in reason:
                reason = "there is no C++ compiler; install one (g++) or name it in the variable CXX"
            raise ModelError(f"model {self._reference!r}: compile: true does not work here: {reason}") from error
