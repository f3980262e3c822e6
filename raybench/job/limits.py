"""What a candidate may cost at most, or must reach at least, to be ranked.

limit = Limit.read("latency_p95_ms <= 20")
limit.exceeded({"latency_p95_ms": 31.2})        # "latency_p95_ms is 31.2, and <= 20 is asked"
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Limit"]

_FORM = re.compile(r"\s*([A-Za-z_][\w@:.-]*)\s*(<=|>=)\s*(\S+)\s*")


class Limit(NamedTuple):
    """`name` is a cost or a metric, `sign` <= or >=."""

    name: str
    sign: str
    bound: float

    @classmethod
    def read(cls, text: str) -> Limit:
        """ValueError for what is no limit."""
        found = _FORM.fullmatch(text)
        try:
            if found is not None and math.isfinite(bound := float(found[3].replace("_", ""))):
                return cls(found[1], found[2], bound)
        except ValueError:
            pass
        raise ValueError("want a limit such as 'latency_p95_ms <= 20'")

    def exceeded(self, row: Mapping[str, Any]) -> str | None:
        """Why a row of the ranking is beyond the limit, or None; what is not known is beyond."""
        value = row.get(self.name)
        asked = f"{self.sign} {self.bound:g} is asked"
        if value is None:
            return f"{self.name} is not known, and {asked}"
        within = value <= self.bound if self.sign == "<=" else value >= self.bound
        return None if within else f"{self.name} is {value:.4g}, and {asked}"
