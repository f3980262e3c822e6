"""Every metric by name: one line adds one; a name is resolved to its module only when it is asked for.

A number in a name sets the metric's parameter: `top_5_accuracy` is `top_k_accuracy` with top_k = 5.
A job may name its own metric as `module:attribute`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from raybench.errors import MetricError
from raybench.metrics.metric import Info, Metric, TableMetric

__all__ = ["METRICS", "describe", "find"]

METRICS: dict[str, str] = {
    # one class an example
    "accuracy": "raybench.metrics.classification:ACCURACY",
    "balanced_accuracy": "raybench.metrics.classification:BALANCED_ACCURACY",
    "macro_precision": "raybench.metrics.classification:MACRO_PRECISION",
    "macro_recall": "raybench.metrics.classification:MACRO_RECALL",
    "macro_f1": "raybench.metrics.classification:MACRO_F1",
    "macro_specificity": "raybench.metrics.classification:MACRO_SPECIFICITY",
    "micro_precision": "raybench.metrics.classification:MICRO_PRECISION",
    "micro_recall": "raybench.metrics.classification:MICRO_RECALL",
    "micro_f1": "raybench.metrics.classification:MICRO_F1",
    "weighted_precision": "raybench.metrics.classification:WEIGHTED_PRECISION",
    "weighted_recall": "raybench.metrics.classification:WEIGHTED_RECALL",
    "weighted_f1": "raybench.metrics.classification:WEIGHTED_F1",
    "weighted_specificity": "raybench.metrics.classification:WEIGHTED_SPECIFICITY",
    "precision": "raybench.metrics.classification:PRECISION",
    "recall": "raybench.metrics.classification:RECALL",
    "f1": "raybench.metrics.classification:F1",
    "specificity": "raybench.metrics.classification:SPECIFICITY",
    "mcc": "raybench.metrics.classification:MCC",
    "cohen_kappa": "raybench.metrics.classification:COHEN_KAPPA",
    "top_k_accuracy": "raybench.metrics.top_k:TOP_K_ACCURACY",
    "log_loss": "raybench.metrics.likelihood:LOG_LOSS",
    "brier": "raybench.metrics.likelihood:BRIER",
    "ece": "raybench.metrics.calibration:ECE",
    "mce": "raybench.metrics.calibration:MCE",
}


def find(name: str) -> tuple[Metric | TableMetric, Mapping[str, Any]]:
    """The metric of that name and the options that the name itself sets."""
    bound: dict[str, Any] = {}
    place = METRICS.get(name)
    if place is None and ":" in name:
        place = name
    if place is None and len(numbers := re.findall(r"(?<=_)\d+(?=_|$)", name)) == 1:
        place = METRICS.get(name.replace(f"_{numbers[0]}", "_k"))
        bound = {"": int(numbers[0])}
    if place is None:
        close = get_close_matches(name, METRICS, n=1)
        raise MetricError(f"unknown metric {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    metric = _load(name, place)
    if not bound:
        return metric, {}
    if metric.parameter is None or bound[""] < 1:
        raise MetricError(f"unknown metric {name!r}: {bound['']} is no parameter of it")
    return metric, {metric.parameter: bound[""]}


def describe() -> list[Info]:
    """What every metric of the catalog needs and means."""
    found = [(name, find(name)[0]) for name in METRICS]
    return [
        Info(
            name=name,
            columns=_columns(metric),
            higher_is_better=metric.higher_is_better,
            unit=metric.unit,
            range=metric.range,
            source=metric.source if isinstance(metric.source, str) else "depends on the options",
        )
        for name, metric in found
    ]


def _columns(metric: Metric | TableMetric) -> tuple[str, ...]:
    columns = metric.measure.columns if isinstance(metric, Metric) else metric.columns
    return () if callable(columns) else columns


def _load(name: str, place: str) -> Metric | TableMetric:
    module, _, attribute = place.partition(":")
    try:
        metric = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise MetricError(f"metric {name!r} cannot be loaded: {error}") from error
    if not isinstance(metric, Metric | TableMetric):
        raise MetricError(f"metric {name!r} is a {type(metric).__name__}; expected a Metric or TableMetric")
    return metric
