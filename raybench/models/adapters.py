"""Adapters inside a network that shares its backbone's weights with others: LoRA and DoRA, through peft."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn

from raybench.core.errors import IncompatibleError, ModelError
from raybench.models.layers import find_stacks
from raybench.models.network import Network
from raybench.models.quiet import quiet

__all__ = ["add_lora", "import_peft", "train_added"]


def import_peft() -> Any:
    """The peft module; ModelError that says how to get it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import peft
    except ImportError as error:
        raise ModelError(f"methods lora, prompt_tuning and prefix need peft: pip install peft ({error})") from error
    # peft hands prefixes over under the name that transformers 5.24 calls deprecated, at every forward pass
    warnings.filterwarnings("ignore", "`past_key_values` is deprecated", FutureWarning)
    return peft


def add_lora(network: Network, h: Any) -> None:
    """Put adapters into the blocks' linear layers, in place; of grouped convolutions into those that divide the rank.

    Raises:
        IncompatibleError: no layer of the asked names.
    """
    peft = import_peft()
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    stacks = find_stacks(network.backbone)
    places = {id(module): name for name, module in network.backbone.named_modules()}
    names = [
        f"{places[id(blocks)]}.{name}"
        for blocks in stacks
        for name, module in blocks.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d | Conv1D) and h.rank % getattr(module, "groups", 1) == 0
    ]
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
    with quiet():
        peft.inject_adapter_in_model(config, network.backbone)


def train_added(network: Network, marks: Sequence[str]) -> None:
    """Train the head and the parameters whose name has one of the marks; the shared ones stay as they are."""
    for parameter in network.head_parameters():
        parameter.requires_grad_(True)
    for name, parameter in network.backbone.named_parameters():
        if any(mark in name for mark in marks):
            parameter.requires_grad_(True)
