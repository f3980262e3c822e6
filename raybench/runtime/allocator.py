"""glibc's allocator, told to keep what is freed: each step of a network asks for the same tensors of megabytes again.

    environment = os.environ | KEEPS_FREED_MEMORY   # of a process that is to compute: read where it starts
    give_back_freed_memory()                        # in it, where what comes next is of other sizes

Left to itself glibc maps a large block anew each time and gives it back when it is freed, so that the kernel zeroes and
maps every page of every activation at every step; threads have heaps of their own, of 64 MiB at most. Told so, all
threads have one heap, which grows. Nothing that is computed changes. Other C libraries read past it.

Source: the GNU C Library's manual, "Memory Allocation Tunables"; malloc_trim(3).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

__all__ = ["KEEPS_FREED_MEMORY", "give_back_freed_memory"]

_TUNABLES = {
    "arena_max": 1,  # heaps
    "mmap_threshold": 1 << 30,  # bytes from which a block is mapped alone
    "trim_threshold": (1 << 31) - 1,  # free bytes at a heap's end from which they are given back
}
KEEPS_FREED_MEMORY = {"GLIBC_TUNABLES": ":".join(f"glibc.malloc.{name}={value}" for name, value in _TUNABLES.items())}


def give_back_freed_memory() -> None:
    """All pages that hold nothing go back to the system."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
