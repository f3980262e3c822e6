"""What the outputs of heads are compared with: labels, smoothed, and how much each row counts.

Shapes: G members, N rows, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import one_hot

from raybench.training.heads.layout import padded
from raybench.training.heads.spec import HeadSpec

__all__ = ["class_weights", "smoothed_targets"]


def class_weights(labels: np.ndarray, num_labels: int) -> np.ndarray:
    """float32 [C]: N / (present classes · count), which averages to 1 over the rows; 0 for absent classes."""
    counts = np.bincount(labels, minlength=num_labels)
    present = counts > 0
    weights = np.where(present, len(labels) / (present.sum() * np.maximum(counts, 1)), 0.0)
    return weights.astype(np.float32)


def smoothed_targets(
    labels: torch.Tensor, specs: Sequence[HeadSpec], num_labels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Smoothed targets [G, N, C] and row weights [G, N], float64."""
    one_hot_NC = one_hot(labels, padded(num_labels)).double()
    smoothing_G = torch.tensor([spec.label_smoothing for spec in specs], dtype=torch.float64, device=labels.device)
    targets = one_hot_NC * (1 - smoothing_G)[:, None, None]
    targets[:, :, :num_labels] += (smoothing_G / num_labels)[:, None, None]
    balanced = torch.from_numpy(class_weights(labels.cpu().numpy(), num_labels)).double().to(labels.device)[labels]
    rows = torch.stack([balanced if spec.balanced else torch.ones_like(balanced) for spec in specs])
    return targets, rows
