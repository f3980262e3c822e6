"""Attention over padded rows on a GPU, by the kernel for rows of any length (FlashAttention-2, Dao 2023).

Of rows that are padded torch's scaled_dot_product_attention takes a slower kernel, whose backward pass is not
deterministic besides. Here a padded row counts as two: its own positions, and those of its padding, which attend to
each other alone and which nobody reads. So [B, T] stays as it is, nothing is packed, and the kernel needs no mask.

It is registered by name as transformers lets anyone do (AttentionInterface, AttentionMaskInterface). Whatever it is not
for takes transformers' own way through "sdpa": causal, sliding and prefixed masks, float32, and no padding at all.

Shapes: B rows of T positions, N heads of D features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from raybench.models.backbone import is_encoder

__all__ = ["attend_by_length", "has_kernel"]

_NAME = "raybench_by_length"
_HALF = (torch.float16, torch.bfloat16)


def has_kernel(device: torch.device) -> bool:
    """Whether the kernel runs there: NVIDIA's Ampere (2020) and what came after it."""
    if device.type != "cuda" or not torch.backends.cuda.is_flash_attention_available():
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def attend_by_length(backbone: nn.Module) -> None:
    """Let an encoder on a GPU attend so, in place; any other network is left as it is."""
    from transformers import AttentionInterface, AttentionMaskInterface

    known: Any = backbone
    # masks reach attention as they are made in networks that know flash attention, as transformers says of its own
    if (
        is_encoder(backbone)
        and known._supports_flash_attn
        and known.config._attn_implementation == "sdpa"
        and not known.config.sub_configs
    ):
        AttentionInterface.register(_NAME, attend)
        AttentionMaskInterface.register(_NAME, bounds_or_mask)
        known.set_attn_implementation(_NAME)


def bounds_or_mask(
    *,
    batch_size: int,
    q_length: int,
    kv_length: int,
    mask_function: Any,
    attention_mask: torch.Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> torch.Tensor | None:
    """Where a row's own positions and its padding begin and end, int32 [2 B + 1], of rows padded on the right.

    `attention_mask` is bool [B, T]. None, or the mask that "sdpa" wants, where rows cannot be told apart so.
    """
    from transformers.masking_utils import bidirectional_mask_function, sdpa_mask

    plain = mask_function is bidirectional_mask_function and q_length == kv_length
    if attention_mask is None or not plain or not _in_half_precision(attention_mask.device.type, dtype):
        return sdpa_mask(
            batch_size=batch_size, q_length=q_length, kv_length=kv_length, mask_function=mask_function,
            attention_mask=attention_mask, dtype=dtype, **options,
        )  # fmt: skip
    begins = torch.arange(batch_size, device=attention_mask.device, dtype=torch.int32) * kv_length
    ends = begins + attention_mask.sum(1, dtype=torch.int32)
    return torch.cat([torch.stack([begins, ends], dim=1).flatten(), begins[-1:] + kv_length])


def _in_half_precision(device: str, dtype: torch.dtype) -> bool:
    """Whether products of tensors of this dtype are taken in one of 16 bits."""
    return (torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else dtype) in _HALF


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """[B, T, N, D] of query, key and value [B, N, T, D]; `attention_mask` as `bounds_or_mask` gives it."""
    mask = attention_mask
    if mask is not None and mask.ndim == 1:
        if query.shape == key.shape == value.shape and _takes(query) and options.get("position_bias") is None:
            B, _, T, _ = query.shape
            q, k, v = (one.transpose(1, 2).flatten(0, 1) for one in (query, key, value))
            return _kernel(q, k, v, mask, T, dropout, scaling).unflatten(0, (B, T)), None
        mask = _mask(mask, query.shape[2])
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    return sdpa_attention_forward(module, query, key, value, mask, dropout=dropout, scaling=scaling, **options)


def _takes(query: torch.Tensor) -> bool:
    return query.dtype in _HALF and query.shape[-1] % 8 == 0 and query.shape[-1] <= 256


def _kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    dropout: float,
    scaling: float | None,
) -> torch.Tensor:
    """[B T, N, D] of rows that begin and end at `bounds`.

    Private: torch's own torch.nn.attention.varlen calls it, and has no dropout.
    """
    flash = torch.ops.aten._flash_attention_forward.default
    attended: torch.Tensor = flash(
        query, key, value, bounds, bounds, longest, longest, dropout, False, False, scale=scaling
    )[0]
    return attended


def _mask(bounds: torch.Tensor, length: int) -> torch.Tensor:
    """The mask that bounds stand for, bool [B, 1, 1, T]."""
    real = bounds[1::2] - bounds[:-1:2]
    return (torch.arange(length, device=bounds.device) < real[:, None])[:, None, None]
