"""Deterministic algorithms where torch has them: on a GPU they must be asked for; a CPU's are for a number of threads.

Only the strict mode will do: where it merely warns, torch's attention keeps its backward pass that is not. So what has
no deterministic algorithm is an error first, and done again without asking by whoever catches it, who says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch

__all__ = ["deterministic", "deterministic_where_possible", "lacks_determinism"]

T = TypeVar("T")


@contextmanager
def deterministic(device: torch.device, *, strict: bool = True) -> Iterator[None]:
    """Inside, operations on a GPU are deterministic or, when `strict`, errors."""
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it, and torch checks
    cudnn, options = torch.backends.cudnn, cast(Any, torch.utils.deterministic)  # typed as a plain module
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn_before, filled = (cudnn.deterministic, cudnn.benchmark), options.fill_uninitialized_memory
    torch.use_deterministic_algorithms(strict)
    cudnn.deterministic, cudnn.benchmark = True, False
    options.fill_uninitialized_memory = False  # finds reads of what nobody wrote, and costs time
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        cudnn.deterministic, cudnn.benchmark = cudnn_before
        options.fill_uninitialized_memory = filled


def deterministic_where_possible(run: Callable[[], T], device: torch.device) -> tuple[T, bool]:
    """What `run` returns, and whether all of its operations were deterministic."""
    try:
        with deterministic(device):
            return run(), True
    except RuntimeError as error:
        if not lacks_determinism(error):
            raise
    with deterministic(device, strict=False):
        return run(), False


def lacks_determinism(error: BaseException) -> bool:
    """Whether torch refused an operation because it has no deterministic algorithm for it."""
    # a bare RuntimeError; torch has no type of its own for it
    return isinstance(error, RuntimeError) and "does not have a deterministic implementation" in str(error)
