"""tabular-classification: one label a row of numbers and categories."""

from __future__ import annotations

from raybench.core import Column
from raybench.tasks.single_label import SingleLabel
from raybench.tasks.tabular import RECORD_COLUMNS, TabularTask

__all__ = ["TabularClassification"]


class TabularClassification(TabularTask, SingleLabel):
    """Records → one label."""

    name = "tabular-classification"
    columns = (*RECORD_COLUMNS, Column("label", "label", role="target"))
