"""How a fit is tried, and how again when it ran out of memory or out of deterministic algorithms.

    attempt = first_attempt(device, longest_row)
    ...                                                      # fitted from the start, with attempt.budget
    attempt = attempt.after(error)                           # None: the error is the outcome

A fit begins anew at every attempt, and the attempts are the same for every trial wherever it is fitted: first beside
what the process has open, then alone on the device, then in ever smaller micro-batches. So its bits depend on the
micro-batch that it went through with, which its checkpoint names, and on nothing that was fitted before or beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from raybench.runtime.training.determinism import lacks_determinism
from raybench.runtime.training.memory import is_out_of_memory

__all__ = ["Attempt", "first_attempt"]

_CPU_TOKENS = 2048
_GPU_TOKENS = 32768
_SMALLEST = 8  # tokens: one row of the shortest bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """`budget` is the padded tokens forwarded at once, of the `wanted` ones; `smallest` is where one row fits alone.

    What is not fitted in steps has no micro-batches to make smaller.
    """

    budget: int = 0
    wanted: int = 0
    smallest: int = 0
    alone: bool = False  # whatever else the process kept on the device is let go
    deterministic: bool = True  # only algorithms that give the same bits each time

    def after(self, error: Exception) -> Attempt | None:
        """What to try after this error, or None where nothing would help."""
        if lacks_determinism(error):
            return replace(self, deterministic=False) if self.deterministic else None
        if not is_out_of_memory(error):
            return None
        if not self.alone:
            return replace(self, alone=True)
        return replace(self, budget=max(self.smallest, self.budget // 2)) if self.budget > self.smallest else None


def first_attempt(device: torch.device, longest_row: int, wanted: int = 0) -> Attempt:
    """Of a fit in steps, with what the hyperparameters want, else the device's default; `longest_row` is padded."""
    budget = wanted or (_GPU_TOKENS if device.type == "cuda" else _CPU_TOKENS)
    return Attempt(budget=budget, wanted=budget, smallest=max(_SMALLEST, longest_row))
