"""In which precision a network runs.

On a CPU bfloat16 must be asked for: one with AVX-512 BF16 or AMX gains by it, one with AVX2 alone emulates it and is
8 times slower than in float32 (measured), and a table that mixes both kinds would mix their last bits.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = ["autocast", "compute_dtype"]

_NAMED = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """What `auto` means: bfloat16 on a GPU, float32 on a CPU."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return _NAMED[precision]


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Products in `dtype`, sums and norms in float32; nothing at all for float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)
