"""Adapters inside a network that shares its backbone's weights with others: LoRA and DoRA, through peft."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn

from raybench.core.errors import IncompatibleError, ModelError
from raybench.models.layers import find_blocks
from raybench.models.network import Network

__all__ = ["add_lora", "import_peft", "train_added"]


def import_peft() -> Any:
    """The peft module; ModelError that says how to get it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import peft
    except ImportError as error:
        raise ModelError(f"methods lora, prompt_tuning and prefix need peft: pip install peft ({error})") from error
    return peft


def add_lora(network: Network, h: Any) -> None:
    """Put adapters into the blocks' linear layers, in place.

    Raises:
        IncompatibleError: no layer of the asked names.
    """
    peft = import_peft()
    blocks = find_blocks(network.backbone)
    place = next(name for name, module in network.backbone.named_modules() if module is blocks)
    names = [f"{place}.{n}" for n, module in blocks.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if h.target_modules != "all-linear":
        ends = tuple("." + end.strip() for end in h.target_modules.split(","))
        asked = [name for name in names if name.endswith(ends)]
        if not asked:
            known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in names}))
            raise IncompatibleError(f"target_modules {h.target_modules!r}: no such layer in the blocks; there: {known}")
        names = asked
    config = peft.LoraConfig(
        r=h.rank, lora_alpha=h.alpha, lora_dropout=h.dropout, use_dora=h.dora, target_modules=names, bias="none"
    )
    peft.inject_adapter_in_model(config, network.backbone)


def train_added(network: Network, marks: Sequence[str]) -> None:
    """Train the head and the parameters whose name has one of the marks; the shared ones stay as they are."""
    for parameter in network.head_parameters():
        parameter.requires_grad_(True)
    for name, parameter in network.backbone.named_parameters():
        if any(mark in name for mark in marks):
            parameter.requires_grad_(True)
