"""image-regression: one number a picture."""

from __future__ import annotations

from raybench.core import Column
from raybench.tasks.image import IMAGE_COLUMNS, ImageTask
from raybench.tasks.regression import Regression

__all__ = ["ImageRegression"]


class ImageRegression(ImageTask, Regression):
    """Image rows → one number."""

    name = "image-regression"
    columns = (*IMAGE_COLUMNS, Column("value", "value", role="target"))
