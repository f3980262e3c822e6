"""text-classification: one label a text, or a pair of texts."""

from __future__ import annotations

from raybench.core import Column
from raybench.tasks.single_label import SingleLabel
from raybench.tasks.text import TEXT_COLUMNS, TextTask

__all__ = ["TextClassification"]


class TextClassification(TextTask, SingleLabel):
    """Text rows → one label."""

    name = "text-classification"
    columns = (*TEXT_COLUMNS, Column("label", "label", role="target"))
