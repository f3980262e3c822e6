"""A network as a directory that transformers opens: its own classes, safetensors, the tokenizer's files.

    opened_by = save_network(network, model, directory)      # "AutoModel"; the head, if it has one of ours, beside it
    AutoModel.from_pretrained(directory)

Adapters are merged into the weights that they adapt. What is written is opened again and compared to the bit.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raybench.core import ModelSpec
from raybench.core.errors import IncompatibleError, summary
from raybench.models.adapters import import_peft
from raybench.models.backbone import StaticEmbeddings
from raybench.models.files import model_directory, small_files, tokenizer_directory
from raybench.models.network import Network, TokenNetwork
from raybench.models.quiet import quiet

__all__ = ["HEAD_FILE", "save_network"]

HEAD_FILE = "head.safetensors"  # weights of ours, which transformers' classes have no place for
_NOT_COPIED = {"config.json", "generation_config.json"}  # written anew with the weights


def save_network(network: Network, model: ModelSpec, directory: Path) -> str:
    """Write it into an empty directory; the name of the transformers class that opens it.

    Raises:
        IncompatibleError: no class of transformers holds such a network.
    """
    from safetensors.torch import save_file
    from transformers import PreTrainedModel

    backbone: Any = network.backbone
    if isinstance(backbone, StaticEmbeddings):
        raise IncompatibleError(f"model {model.reference!r}: pooling static is word embeddings alone, no checkpoint")
    if not isinstance(backbone, PreTrainedModel):
        raise IncompatibleError(f"{type(backbone).__name__}: learned positions are no weights of a plain checkpoint")
    _merge_adapters(backbone)
    is_ours = isinstance(network, TokenNetwork)  # a plain backbone under a head of ours; the others are whole
    with quiet():
        backbone.save_pretrained(directory)
    for source in _small_directories(model):
        for path in small_files(source):
            target = directory / path.relative_to(source)
            if path.name not in _NOT_COPIED or path.parent != source:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    if is_ours and list(network.head.parameters()):
        state = {name: tensor.contiguous().cpu() for name, tensor in network.head.state_dict().items()}
        save_file(state, directory / HEAD_FILE)
    opened_by = "AutoModel" if is_ours else type(backbone).__name__
    _check(backbone, opened_by, directory)
    return opened_by


def _check(backbone: nn.Module, opened_by: str, directory: Path) -> None:
    """IncompatibleError unless transformers opens the directory and finds the same weights in it."""
    import transformers

    try:
        with quiet():
            again = getattr(transformers, opened_by).from_pretrained(
                directory, trust_remote_code=False, local_files_only=True, dtype=torch.float32
            )
    except Exception as error:  # whatever transformers stumbles over
        raise IncompatibleError(f"{type(backbone).__name__}: {opened_by} does not open it: {summary(error)}") from error
    found = dict(again.named_parameters())
    for name, parameter in backbone.named_parameters():
        if name not in found or not torch.equal(found[name].cpu(), parameter.detach().float().cpu()):
            raise IncompatibleError(f"{type(backbone).__name__}: {opened_by} opens it with another {name}")


def _merge_adapters(backbone: nn.Module) -> None:
    """LoRA and DoRA inside a network as plain weights, in place."""
    if not any("lora_" in name for name, _ in backbone.named_parameters()):
        return
    peft = import_peft()
    for name, module in list(backbone.named_modules()):
        if isinstance(module, peft.tuners.tuners_utils.BaseTunerLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(backbone.get_submodule(parent), child, module.get_base_layer())


def _small_directories(model: ModelSpec) -> list[Path]:
    """Where the model's and the tokenizer's small files are."""
    directory = model_directory(model, weights=False)
    found = [directory] if directory is not None else []
    if model.tokenizer:
        found.append(tokenizer_directory(model))
    return found
