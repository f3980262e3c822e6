"""Processes of a benchmark that are started as an embedded Ray starts its actors."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

from raybench.runtime.allocator import KEEPS_FREED_MEMORY

__all__ = ["processes"]


def processes(count: int, initializer: Callable[..., None], given: tuple[Any, ...]) -> ProcessPoolExecutor:
    """All of them started, with the variables that an actor finds."""
    pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=initializer, initargs=given)
    with patch.dict(os.environ, KEEPS_FREED_MEMORY):
        pool.submit(int).result()  # starts them
    return pool
