"""A module that torch compiles on its first call, and one line when that cannot be done here."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from raybench.core.errors import ModelError

__all__ = ["Compiled"]

# Each process compiles for itself. Left alone torch picks some kernels for a GPU by a stop watch, and some by the shape
# that it sees first; they add up in another order, so an actor could round otherwise than its neighbour. On a CPU these
# options change nothing. The sums of rows wider than 1,024 still go by whether the first shape has 1,024 of them.
_SAME_BITS = {"deterministic": True, "batch_invariant": True}

# a kernel took a processor 20 to 55 µs to start, and BERT-base's pass over 32,768 tokens, of 200, a GPU 12 ms: recorded
# once for a shape, they start together. Shapes are few, those of the plan; torch warns of the ninth
_RECORDED = _SAME_BITS | {"triton.cudagraphs": True, "triton.cudagraph_dynamic_shape_warn_limit": None}


class Compiled(nn.Module):
    """`module`, compiled once for all lengths and numbers of rows.

    `recorded`: its kernels are recorded for each shape and started at once (CUDA graphs), for a module on a GPU whose
    outputs are tensors by name.
    """

    def __init__(self, module: nn.Module, reference: str, *, recorded: bool = False) -> None:
        super().__init__()
        self.module = module
        self._reference, self._recorded = reference, recorded
        # torch counts the graphs of a class of networks over the whole process, and past eight runs the next ones
        # uncompiled without a word: every network begins with none; those still open are compiled again when called
        torch.compiler.reset()
        module.compile(dynamic=True, options=_RECORDED if recorded else _SAME_BITS)

    def forward(self, **inputs: Any) -> Any:
        """What the module puts out.

        Raises:
            ModelError: it cannot be compiled; mostly there is no C++ compiler.
        """
        try:
            if self._recorded:
                torch.compiler.cudagraph_mark_step_begin()
            outputs = self.module(**inputs)
            return _copied(outputs) if self._recorded else outputs  # the next pass of this shape writes over them
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo.", "torch._inductor.")):
                raise  # the module's own, such as too little memory
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = next((line for line in lines if not line.startswith("backend=")), type(error).__name__)
            if "compiler found" in reason:
                reason = "there is no C++ compiler; install one (g++) or name it in the variable CXX"
            raise ModelError(f"model {self._reference!r}: compile: true does not work here: {reason}") from error


def _copied(outputs: Any) -> Any:
    copies = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in outputs.items()}
    return type(outputs)(copies)
