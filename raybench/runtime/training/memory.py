"""Memory: what counts as having run out of it, room for a second try, and the most that was used."""

from __future__ import annotations

import resource
import sys
import traceback
from collections.abc import Callable
from typing import TypeVar

import torch

__all__ = ["is_out_of_memory", "peak_memory_bytes", "reset_peak_memory", "with_room"]

T = TypeVar("T")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether less work at once could help: CUDA's own error, or an allocator that says no on the CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # torch has no type of its own for it
    )


def with_room(run: Callable[[], T], let_go: Callable[[], None]) -> T:
    """What `run` returns; where memory runs out, once more after `let_go` has freed what others left there."""
    try:
        return run()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold what did fit
    let_go()
    return run()


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
