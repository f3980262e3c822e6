"""multilabel-image-classification: any number of labels a picture."""

from __future__ import annotations

from raybench.core import Column
from raybench.tasks.augmentation import AugmentOptions
from raybench.tasks.image import IMAGE_COLUMNS, ImageTask
from raybench.tasks.multi_label import MultiLabel
from raybench.tasks.threshold import ThresholdOptions

__all__ = ["ImageMultilabelClassification"]


class ImageMultilabelOptions(ThresholdOptions, AugmentOptions):
    """Those of several labels and those of pictures."""


class ImageMultilabelClassification(ImageTask, MultiLabel):
    """Image rows → any number of labels."""

    name = "multilabel-image-classification"
    options = ImageMultilabelOptions
    columns = (*IMAGE_COLUMNS, Column("labels", "labels", role="target"))
