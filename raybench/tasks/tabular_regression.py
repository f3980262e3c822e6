"""tabular-regression: one number a row of numbers and categories."""

from __future__ import annotations

from raybench.core import Column
from raybench.tasks.regression import Regression
from raybench.tasks.tabular import RECORD_COLUMNS, TabularTask

__all__ = ["TabularRegression"]


class TabularRegression(TabularTask, Regression):
    """Records → one number."""

    name = "tabular-regression"
    columns = (*RECORD_COLUMNS, Column("value", "value", role="target"))
