"""When a run's budget is over."""

from __future__ import annotations

import time
from dataclasses import dataclass

from raybench.job import Job
from raybench.planning.budget import budget_reason

__all__ = ["Deadline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """`at` is by the monotonic clock, `reason` what trials are told that are left."""

    at: float
    reason: str

    @classmethod
    def of(cls, job: Job, began: float) -> Deadline | None:
        """Of a run that began then; None without a budget."""
        if job.budget is None:
            return None
        return cls(at=began + job.budget.hours * 3600, reason=budget_reason(job.budget.hours))

    @property
    def is_over(self) -> bool:
        """Whether nothing more may be done."""
        return time.monotonic() >= self.at
