"""What a fit costs: parameters, seconds, memory, and operations as torch counts them (a multiply-add is two)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import nn

from raybench.runtime.training.memory import peak_memory_bytes

__all__ = ["count_flops", "count_parameters", "fit_meta"]

T = TypeVar("T")


def count_parameters(parameters: Iterable[nn.Parameter]) -> int:
    """How many numbers the parameters hold, each tensor once."""
    return sum(parameter.numel() for parameter in {id(p): p for p in parameters}.values())


def count_flops(run: Callable[[], T]) -> tuple[T, int]:
    """What `run` returns, and the operations of products and attention while it ran."""
    from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop, sdpa_flop

    def attention(query: Any, key: Any, value: Any, *rest: Any, out_shape: Any = None, **options: Any) -> int:
        return sdpa_flop(query, key, value)

    def backward(grad: Any, query: Any, key: Any, value: Any, *rest: Any, out_shape: Any = None, **options: Any) -> int:
        return sdpa_backward_flop(grad, query, key, value)

    aten = torch.ops.aten  # torch counts the CUDA kernels alone
    own = {
        aten._scaled_dot_product_flash_attention_for_cpu: attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }
    with FlopCounterMode(display=False, custom_mapping=own) as counter:
        result = run()
    return result, int(counter.get_total_flops())


def fit_meta(
    seconds: float, *, device: torch.device, dtype: str, total: int, trained: int, flops: int, peak_memory: int = 0
) -> dict[str, Any]:
    """The cost that every checkpoint carries; `peak_memory` is the most before the last reset of the measurement."""
    return {
        "fit_seconds": seconds,
        "params_total": total,
        "params_trained": trained,
        "flops": flops,
        "peak_memory_bytes": max(peak_memory, peak_memory_bytes(device)),
        "device": device.type,
        "dtype": dtype,
        "threads": torch.get_num_threads(),
    }
