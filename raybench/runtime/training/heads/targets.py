"""What the outputs of heads are compared with: labels, smoothed, and how much each row counts.

Shapes: G members, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from raybench.runtime.training.heads.layout import padded
from raybench.runtime.training.heads.spec import HeadSpec

__all__ = ["Targets", "class_weights", "smoothed_targets"]


class Targets(NamedTuple):
    """What a row of each class is compared with, and its weight: looked up by label, not kept a row."""

    smoothed_GCC: torch.Tensor  # [members, the row's class, class], the last padded
    weights_GC: torch.Tensor


def class_weights(labels: np.ndarray, num_labels: int) -> np.ndarray:
    """float32 [C]: N / (present classes · count), which averages to 1 over the rows; 0 for absent classes."""
    counts = np.bincount(labels, minlength=num_labels)
    present = counts > 0
    weights = np.where(present, len(labels) / (present.sum() * np.maximum(counts, 1)), 0.0)
    return weights.astype(np.float32)


def smoothed_targets(labels: torch.Tensor, specs: Sequence[HeadSpec], num_labels: int, dtype: torch.dtype) -> Targets:
    """The targets of every member for rows of every class, on the labels' device."""
    one_hot_CC = torch.eye(num_labels, padded(num_labels), dtype=torch.float64)
    smoothing_G = torch.tensor([spec.label_smoothing for spec in specs], dtype=torch.float64)
    smoothed_GCC = one_hot_CC * (1 - smoothing_G)[:, None, None]
    smoothed_GCC[:, :, :num_labels] += (smoothing_G / num_labels)[:, None, None]
    balanced_C = torch.from_numpy(class_weights(labels.cpu().numpy(), num_labels)).double()
    weights_GC = torch.stack([balanced_C if spec.balanced else torch.ones_like(balanced_C) for spec in specs])
    return Targets(smoothed_GCC.to(labels.device, dtype), weights_GC.to(labels.device, dtype))
