"""What a trial costs beside what it scores: names that job, tables and limits share."""

from __future__ import annotations

__all__ = ["COSTS", "FLOAT_COSTS", "INTEGER_COSTS"]

INTEGER_COSTS = ("params_total", "params_trained", "flops")
FLOAT_COSTS = (
    "fit_seconds",
    "score_seconds",
    "examples_per_second",
    "latency_p50_ms",
    "latency_p95_ms",
)
COSTS = (*INTEGER_COSTS, *FLOAT_COSTS, "peak_memory_bytes")
