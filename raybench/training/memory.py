"""Out of memory: the micro-batch shrinks, the effective batch stays, and the size that worked is remembered.

budget = BUDGETS.start(key, wanted)
while True:
    try: ...; break
    except MEMORY_ERRORS as error: budget = BUDGETS.smaller(key, budget, error)
"""

from __future__ import annotations

import resource
import sys

import torch

__all__ = ["BUDGETS", "Budgets", "is_out_of_memory", "peak_memory_bytes", "reset_peak_memory"]

_CPU_TOKENS = 2048
_GPU_TOKENS = 32768
_SMALLEST = 8  # tokens: one row of the shortest bucket


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch could help: CUDA's own error, or an allocator that says no on the CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


class Budgets:
    """Padded tokens forwarded at once that fitted, by (weights, method, device)."""

    def __init__(self) -> None:
        self._fitted: dict[str, int] = {}

    def start(self, key: str, device: torch.device, wanted: int = 0) -> int:
        """What to try first: what fitted before, else what the hyperparameters want, else the device's default."""
        default = wanted or (_GPU_TOKENS if device.type == "cuda" else _CPU_TOKENS)
        return min(default, self._fitted.get(key, default))

    def smaller(self, key: str, budget: int, error: BaseException, *, largest_row: int) -> int:
        """Half of `budget`, remembered; the error itself where already one row at a time did not fit."""
        if budget <= max(_SMALLEST, largest_row):
            raise error
        self._fitted[key] = max(_SMALLEST, largest_row, budget // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return self._fitted[key]


BUDGETS = Budgets()


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement where the device can; a CPU process only knows its life's peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int:
    """Most bytes allocated on the GPU since the reset, or resident in this process since it began."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
