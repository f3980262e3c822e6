"""Masks as classes of pixels: numbers of a mask as the dataset's labels, counts of an image, the best class a pixel.

Shapes: C classes, H and W pixels of the raw picture, h and w of what a network puts out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["IGNORED", "best_classes", "class_of_number", "mask_array", "pixel_counts", "resized_mask"]

IGNORED = 255
_MOST_VALUES = {"cpu": 1 << 24, "cuda": 1 << 28}  # of float32 logits at the raw size at once: 64 MiB, 1 GiB


def class_of_number(ignore_index: int, *, reduce_labels: bool) -> np.ndarray:
    """uint8 [256]: the class of each number of a mask, 255 where its pixels do not count."""
    numbers = np.arange(256)
    classes = np.where(numbers == 0, IGNORED, numbers - 1) if reduce_labels else numbers
    return np.where(numbers == ignore_index, IGNORED, classes).astype(np.uint8)


def mask_array(cell: dict[str, Any], classes: np.ndarray) -> np.ndarray:
    """A cell of masks as uint8 [H, W] of classes."""
    numbers = np.frombuffer(cell["data"], dtype=np.uint8).reshape(cell["height"], cell["width"])
    found: np.ndarray = classes[numbers]
    return found


def resized_mask(mask_HW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """By nearest pixels, as image processors resize masks."""
    if mask_HW.shape == size:
        return mask_HW
    from PIL import Image

    return np.asarray(Image.fromarray(mask_HW).resize(size[::-1], Image.Resampling.NEAREST))


def best_classes(logits_Chw: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """int64 [H, W]: the class of the largest logit after bilinear resizing to `size`, −1 where one is NaN.

    As image processors' `post_process_semantic_segmentation`, some classes at a time, so that a large picture with many
    classes fits; of equal logits the first class.
    """
    import torch
    from torch.nn.functional import interpolate

    device = logits_Chw.device
    most = max(1, _MOST_VALUES.get(device.type, _MOST_VALUES["cpu"]) // (size[0] * size[1]))
    largest = torch.full(size, float("-inf"), device=device)
    best = torch.zeros(size, dtype=torch.int64, device=device)
    for start in range(0, len(logits_Chw), most):
        part = logits_Chw[None, start : start + most]
        values, classes = interpolate(part, size=size, mode="bilinear", align_corners=False)[0].max(dim=0)
        above = (values > largest) | values.isnan()
        largest, best = torch.where(above, values, largest), torch.where(above, classes + start, best)
    return best.masked_fill(largest.isnan(), -1)


def pixel_counts(prediction_HW: torch.Tensor, target_HW: torch.Tensor, num_classes: int) -> np.ndarray:
    """int64 [3, C]: pixels that are both, that were predicted, that are there; counted on the masks' device."""
    from raybench.metrics.records import segmentation_records

    counts = segmentation_records(prediction_HW[None], target_HW[None], num_classes, ignore_index=IGNORED)
    return np.stack([counts[name][0] for name in ("intersection", "predicted_pixels", "target_pixels")])
