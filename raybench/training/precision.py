"""In which precision a network runs: autocast on GPUs and on CPUs that multiply bfloat16 in hardware."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = ["autocast", "compute_dtype", "cpu_has_bfloat16"]

_NAMED = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """What `auto` means: bfloat16 on a GPU, float32 on a CPU."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return _NAMED[precision]


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Products in `dtype`, sums and norms in float32; nothing at all for float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


def cpu_has_bfloat16() -> bool:
    """Whether bfloat16 is faster than float32 here; emulated it is 8 times slower (measured on a CPU with AVX2)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
