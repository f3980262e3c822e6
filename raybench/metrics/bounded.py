"""Metrics that are a mean over examples of one number each, within known bounds: what a betting e-process needs.

    is_bounded_mean(metric)                             # accuracy, Brier score, NDCG; not F1, AUC, log-loss
    values_N = example_values(metric, options, records)

A record that does not count (a label to ignore, a query without a relevant document) is worth 0 whatever a model says
of it, so differences of sums over all records are those of the metric. A metric of one's own must leave records out by
the data alone.
"""

from __future__ import annotations

from math import isfinite

import numpy as np
import pyarrow as pa

from raybench.metrics.mean import mean
from raybench.metrics.metric import Metric, Options, TableMetric
from raybench.metrics.row_sums import successes

__all__ = ["example_values", "is_bounded_mean"]


def is_bounded_mean(metric: Metric | TableMetric) -> bool:
    """Whether the value is a mean over examples of numbers within the metric's range."""
    if not isinstance(metric, Metric) or metric.higher_is_better is None or not all(map(isfinite, metric.range)):
        return False
    return metric.trial_each or (metric.value is mean and "weight" not in metric.measure.options)


def example_values(metric: Metric, options: Options, records: pa.Table) -> np.ndarray:
    """What each record is worth to a bounded mean, float64 [N] within its range; NaN leaves the mean undefined."""
    if metric.trial_each:
        hits_N = successes(metric, options, records)
        assert hits_N is not None
        return hits_N.astype(np.float64)
    values_N = metric.measure.contributions(records, options)["x"]
    assert isinstance(values_N, np.ndarray)
    return values_N
