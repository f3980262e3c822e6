"""Out of memory: the micro-batch shrinks, the effective batch stays, and the size that worked is remembered.

    key = BUDGETS.key(weights_fingerprint, method, longest_row, device)
    budget = BUDGETS.start(key, device)
    while True:
        try: ...; break
        except (RuntimeError, MemoryError) as error: budget = BUDGETS.smaller(key, budget, error, largest_row=...)

It is remembered on this machine, beside the feature cache (`RAYBENCH_CACHE` empty: in this process alone), so that the
next process does not run into the same wall. Removing a file there makes the next fit try the default again.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import torch

from raybench.identity import content_hash
from raybench.training.feature_cache import feature_directory

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
    """Padded tokens forwarded at once that fitted, by (weights, method, longest row, device): one small file a key."""

    def __init__(self, directory: Callable[[], Path | None] = lambda: None) -> None:
        self._directory = directory
        self._fitted: dict[str, int] = {}

    @staticmethod
    def key(weights: str, method: str, longest_row: int, device: torch.device) -> str:
        """What decides how much fits; `longest_row` is padded."""
        return ":".join([weights, method, str(longest_row), *_device(device)])

    def start(self, key: str, device: torch.device, wanted: int = 0) -> int:
        """What to try first: what fitted before, else what the hyperparameters want, else the device's default."""
        default = wanted or (_GPU_TOKENS if device.type == "cuda" else _CPU_TOKENS)
        if key not in self._fitted and (remembered := self._read(key)):
            self._fitted[key] = remembered
        return min(default, self._fitted.get(key, default))

    def smaller(self, key: str, budget: int, error: BaseException, *, largest_row: int) -> int:
        """Half of `budget`, remembered; the error itself where already one row at a time did not fit."""
        if budget <= max(_SMALLEST, largest_row):
            raise error
        self._fitted[key] = max(_SMALLEST, largest_row, budget // 2)
        self._write(key, self._fitted[key])
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return self._fitted[key]

    def _file(self, key: str) -> Path | None:
        directory = self._directory()
        return None if directory is None else directory / f"{content_hash(key)}.json"

    def _read(self, key: str) -> int | None:
        """What a process before this one found out; None where there is no file, or a torn or foreign one."""
        file = self._file(key)
        if file is None:
            return None
        try:
            content = json.loads(file.read_bytes())
        except (OSError, ValueError):
            return None
        known = isinstance(content, dict) and content.get("key") == key
        tokens = content.get("tokens") if known else None
        return tokens if type(tokens) is int and tokens >= _SMALLEST else None

    def _write(self, key: str, tokens: int) -> None:
        file = self._file(key)
        if file is None:
            return
        temporary = file.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({"key": key, "tokens": tokens}))
            temporary.replace(file)
        except OSError:  # a disk that refuses costs the memory of it, not the trial
            return


def _device(device: torch.device) -> tuple[str, str, str]:
    """Kind, name and all of its memory; equal ones share what was learnt."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return device.type, properties.name, str(properties.total_memory)
    return device.type, platform.machine(), str(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _budget_directory() -> Path | None:
    features = feature_directory()
    return None if features is None else features.parent / "budgets"


BUDGETS = Budgets(_budget_directory)


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
