"""The option of tasks whose predictions follow from probabilities by a threshold.

task_config: {threshold: 0.3}           # a label is given from this probability on
task_config: {threshold: validation}    # picked on the validation rows, for each fit its own
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from raybench.metrics.thresholds import HALF
from raybench.tasks.task import TaskOptions

__all__ = ["PICKED", "ThresholdOptions"]

PICKED = "validation"


def _read(value: Any) -> Any:
    if value == PICKED or (isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1):
        return value
    raise ValueError(f"want a probability above 0 and below 1, or {PICKED}: the best on the validation rows")


class ThresholdOptions(TaskOptions):
    """When a label is given."""

    threshold: Annotated[float | Literal["validation"], BeforeValidator(_read)] = Field(
        default=HALF,
        description="the least probability at which a label is given, of two labels the second; "
        "validation: picked on validation rows",
    )

    @property
    def cut(self) -> float:
        """The threshold, which is 0.5 as long as none has been picked."""
        return self.threshold if isinstance(self.threshold, float) else HALF
