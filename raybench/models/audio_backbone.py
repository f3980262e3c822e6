"""Encoders of sounds: opened as every backbone, without augmentation of their own."""

from __future__ import annotations

from typing import Any

from torch import nn

from raybench.core import ModelSpec
from raybench.models.backbone import open_backbone

__all__ = ["open_ears", "without_augmentation"]


def open_ears(model: ModelSpec, seed: int) -> nn.Module:
    """The encoder in eval mode."""
    return without_augmentation(open_backbone(model, seed))


def without_augmentation(module: Any) -> Any:
    """Without SpecAugment while it is trained: transformers draws it from numpy's global state, which no seed of a
    trial decides, and refuses sounds that are shorter than its masks."""
    if hasattr(module.config, "apply_spec_augment"):
        module.config.apply_spec_augment = False
    return module
