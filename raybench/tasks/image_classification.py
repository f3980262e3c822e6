"""image-classification: one label a picture."""

from __future__ import annotations

from raybench.core import Column
from raybench.tasks.image import IMAGE_COLUMNS, ImageTask
from raybench.tasks.single_label import SingleLabel

__all__ = ["ImageClassification"]


class ImageClassification(ImageTask, SingleLabel):
    """Image rows → one label."""

    name = "image-classification"
    columns = (*IMAGE_COLUMNS, Column("label", "label", role="target"))
