"""Which device an actor computes on: decided by what it was given, never by what it can see. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["CONTEXT_BYTES", "device_of", "memory_fraction", "share_memory"]

CONTEXT_BYTES = 6e8  # that a process holds on a GPU beside its tensors: CUDA's context and its libraries' workspaces


def device_of(gpus_per_actor: float, *, cuda_available: bool) -> torch.device:
    """The GPU of an actor that was given one or a part of one; the CPU else, though the node may have GPUs.

    Ray shows an actor its own GPU as the first, but leaves the others visible to an actor that was given none.
    """
    import torch

    return torch.device("cuda" if gpus_per_actor > 0 and cuda_available else "cpu")


def memory_fraction(gpus_per_actor: float, device_bytes: int) -> float:
    """How much of a GPU's memory an actor's tensors may take: its part of all, less what its process takes besides.

    At least half of its part, so that a part too small for anything fails by the size of the trial, and says so.
    """
    return max(gpus_per_actor / 2, gpus_per_actor - CONTEXT_BYTES / device_bytes)


def share_memory(device: torch.device, gpus_per_actor: float) -> None:
    """On a GPU that actors share each keeps to its part: what is too large for it fails alone."""
    import torch

    if device.type == "cuda" and gpus_per_actor < 1:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(memory_fraction(gpus_per_actor, total))
