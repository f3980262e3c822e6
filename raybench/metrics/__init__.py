"""Metrics over tables of records: exact under any sharding, with intervals, usable without Ray and without a model.

    from raybench import metrics
    metrics.evaluate("macro_f1", target=["cat", "dog"], prediction=["cat", "cat"])
    metrics.evaluate(["accuracy", "macro_f1"], table)["accuracy"]      # Score(value=0.93, low=0.91, high=0.95, n=600)

A table has one row an example and what the metrics name in their columns; columns.py lists those of each task, alone.py
takes tables of every kind. State sums merge exactly (state.py); `catalog.METRICS` lists the names.
"""

from raybench.core.errors import MetricError
from raybench.metrics.alone import evaluate
from raybench.metrics.catalog import METRICS
from raybench.metrics.coverage import Coverage
from raybench.metrics.description import describe
from raybench.metrics.metric import Info, Measure, Metric, OneHot, TableMetric
from raybench.metrics.metric_set import MetricSet
from raybench.metrics.running import RunningState, state
from raybench.metrics.state_set import StateSet

__all__ = [
    "METRICS",
    "Coverage",
    "Info",
    "Measure",
    "Metric",
    "MetricError",
    "MetricSet",
    "OneHot",
    "RunningState",
    "StateSet",
    "TableMetric",
    "describe",
    "evaluate",
    "state",
]
