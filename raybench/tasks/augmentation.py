"""Pictures as training sees them: a part of each, or its mirror image, drawn by (seed, example id, epoch).

    draws_N5 = drawn(ids, seed=0, epoch=3)                  # the same whoever else is in the batch, or how it is cut
    warped(values_BCHW, views(draws_B5, options))           # on the pictures' device

Shapes: N examples, B of a batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from raybench.core.identity import canonical_json
from raybench.tasks.task import TaskOptions

if TYPE_CHECKING:
    import torch

__all__ = ["AugmentOptions", "drawn", "views", "warped"]

_DRAWS = 5  # area, shape, place down, place right, mirror
_LOG_SHAPE = np.log(4 / 3)  # how far a part's shape is from its picture's at most, as Inception's crops


class AugmentOptions(TaskOptions):
    """How pictures are seen while a network is trained; scoring sees them as they are."""

    crop: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="in training, the least share of a picture that is seen, at its size; 1: all of it",
    )
    flip: bool = Field(default=False, description="in training, every second picture is seen mirrored, left for right")

    @property
    def augments(self) -> bool:
        return self.flip or self.crop < 1


def drawn(ids: Sequence[str], seed: int, epoch: int) -> np.ndarray:
    """float64 [N, 5] in [0, 1), each row of its id alone."""
    begin = canonical_json(["augment", seed, epoch]).encode()
    digests = [hashlib.blake2b(begin + b"\0" + one.encode(), digest_size=8 * _DRAWS).digest() for one in ids]
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, _DRAWS) / 2.0**64


def views(draws_N5: np.ndarray, options: AugmentOptions) -> np.ndarray:
    """float32 [N, 2, 3]: where each point of what is seen lies in the picture, both from −1 to 1 (x first)."""
    area = options.crop + (1 - options.crop) * draws_N5[:, 0]
    shape = np.exp(_LOG_SHAPE * (2 * draws_N5[:, 1] - 1)) if options.crop < 1 else np.ones(len(area))
    high, wide = np.sqrt(area / shape).clip(max=1), np.sqrt(area * shape).clip(max=1)
    mirror = np.where(options.flip & (draws_N5[:, 4] < 0.5), -1.0, 1.0)
    theta_N23 = np.zeros((len(area), 2, 3), dtype=np.float32)
    theta_N23[:, 0, 0], theta_N23[:, 0, 2] = wide * mirror, (1 - wide) * (2 * draws_N5[:, 3] - 1)
    theta_N23[:, 1, 1], theta_N23[:, 1, 2] = high, (1 - high) * (2 * draws_N5[:, 2] - 1)
    return theta_N23


def warped(values_BCHW: torch.Tensor, theta_B23: np.ndarray) -> torch.Tensor:
    """Pictures as they are seen, bilinear, at their own size."""
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    theta = torch.from_numpy(theta_B23).to(values_BCHW.device)
    grid = affine_grid(theta, list(values_BCHW.shape), align_corners=False)
    return grid_sample(values_BCHW, grid, mode="bilinear", padding_mode="border", align_corners=False)
