"""text-regression: one number a text, or a pair of texts."""

from __future__ import annotations

from raybench.core import Column
from raybench.tasks.regression import Regression
from raybench.tasks.text import TEXT_COLUMNS, TextTask

__all__ = ["TextRegression"]


class TextRegression(TextTask, Regression):
    """Text rows → one number."""

    name = "text-regression"
    columns = (*TEXT_COLUMNS, Column("value", "value", role="target"))
