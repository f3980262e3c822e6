"""Metrics over tables of records: exact under any sharding, with intervals, usable without Ray and without a model.

    from raybench.metrics import evaluate
    evaluate(["accuracy", "macro_f1"], records, {"labels": ["cat", "dog"]})["accuracy"]
    # Score(value=0.93, low=0.91, high=0.95, n=600)

A table has one row an example: `id` (string, unique) and what the metrics name in `MetricSet.columns`; columns.py lists
the columns each task writes. State sums merge exactly (state.py); `catalog.METRICS` lists the names.
"""

from raybench.metrics.catalog import METRICS, describe
from raybench.metrics.coverage import Coverage
from raybench.metrics.metric import Info, Measure, Metric, OneHot, TableMetric
from raybench.metrics.metric_set import MetricSet, evaluate
from raybench.metrics.state_set import StateSet

__all__ = [
    "METRICS",
    "Coverage",
    "Info",
    "Measure",
    "Metric",
    "MetricSet",
    "OneHot",
    "StateSet",
    "TableMetric",
    "describe",
    "evaluate",
]
