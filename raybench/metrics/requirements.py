"""Whether a metric can be computed from records of a given schema, told before there are any.

    misfit("bleu", task.record_schema(labels), task.metric_config(labels, {}))   # "needs the record column …"
    fitting(task.record_schema(labels), task.metric_config(labels, {}))          # ("accuracy", "balanced_accuracy", …)

A metric declares the columns and options that it reads, a task the schema of what it leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.metrics.catalog import METRICS, find
from raybench.metrics.metric import Metric
from raybench.metrics.metric_set import MetricSet

__all__ = ["fitting", "known_options", "misfit"]


def misfit(name: str, schema: pa.Schema, config: Mapping[str, Any]) -> str | None:
    """Why the metric has no value for records of this schema under this configuration, or None where it has."""
    try:
        metric_set = MetricSet([name], config)
        metric, options = metric_set.metric(name)
        metric.check(options)
        columns = metric_set.columns
    except MetricError as error:
        return f"{name}: {error}"
    if missing := sorted(columns - set(schema.names)):
        return f"{name} needs the record column {missing[0]!r}"
    quantities = metric.measure.quantities if isinstance(metric, Metric) else metric.quantities
    if quantities and not pa.types.is_floating(schema.field("target").type):
        return f"{name} measures distances between numbers, and here targets are classes"
    return None


def known_options() -> frozenset[str]:
    """Every option that a metric of the catalogue reads and a user can set."""
    found = {"group"}
    for name in METRICS:
        metric, _ = find(name)
        found |= set(metric.options) | set(metric.measure.options if isinstance(metric, Metric) else ())
    return frozenset(found - {"labels"})  # those are the data's


def fitting(schema: pa.Schema, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The catalogue's metrics that records of this schema have a value for, in its order."""
    return tuple(name for name in METRICS if misfit(name, schema, config) is None)
