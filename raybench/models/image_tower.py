"""The image side of a model of pictures and texts, as a backbone: what it puts into the space that both share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

if TYPE_CHECKING:
    pass

__all__ = ["ImageTower"]

_TEXT_SIDE = ("text_model", "text_projection")


class _Hidden(NamedTuple):
    last_hidden_state: torch.Tensor  # [B, 1, H]


class ImageTower(nn.Module):
    """`get_image_features` of a model, which loses its text side."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        for name in _TEXT_SIDE:
            if hasattr(model, name):
                setattr(model, name, None)
        self.model = model
        projection = getattr(model, "visual_projection", None)
        self.num_features = int(
            projection.out_features if projection is not None else model.config.vision_config.hidden_size
        )

    def forward(self, pixel_values: torch.Tensor) -> _Hidden:
        return _Hidden(self.model.get_image_features(pixel_values=pixel_values).pooler_output[:, None])
