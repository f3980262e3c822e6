"""multilabel-text-classification: any number of labels a text, or a pair of texts."""

from __future__ import annotations

from raybench.core import Column
from raybench.tasks.multi_label import MultiLabel
from raybench.tasks.text import TEXT_COLUMNS, TextTask

__all__ = ["TextMultilabelClassification"]


class TextMultilabelClassification(TextTask, MultiLabel):
    """Text rows → any number of labels."""

    name = "multilabel-text-classification"
    columns = (*TEXT_COLUMNS, Column("labels", "labels", role="target"))
