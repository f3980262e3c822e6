"""What a network costs: parameters, and floating-point operations as torch counts them (a multiply-add is two)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

__all__ = ["count_flops", "count_parameters"]


def count_parameters(parameters: Iterable[nn.Parameter]) -> int:
    """How many numbers the parameters hold, each tensor once."""
    return sum(parameter.numel() for parameter in {id(p): p for p in parameters}.values())


def count_flops(run: Callable[[], object]) -> int:
    """Operations of products and attention while `run` runs."""
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop

    def attention(query: Any, key: Any, value: Any, *rest: Any, out_shape: Any = None, **options: Any) -> int:
        return sdpa_flop(query, key, value)

    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # torch counts the CUDA kernels alone
    with FlopCounterMode(display=False, custom_mapping={flash: attention}) as counter:
        run()
    return int(counter.get_total_flops())
