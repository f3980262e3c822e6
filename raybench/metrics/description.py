"""What a reader must know of a metric beside its value: what it reads, what may be set, how sure its interval is.

print(describe("ece"))
describe("roc_auc", {"labels": ["cat", "dog", "eel"]}).columns      # ("target", "scores")
[info.name for info in describe()]                                  # all of the catalogue
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, overload

from raybench.metrics.catalog import METRICS, find
from raybench.metrics.measured import coverage_of
from raybench.metrics.metric import (
    REQUIRED,
    Info,
    Metric,
    OptionInfo,
    Options,
    TableMetric,
    declared_options,
    resolve_options,
)
from raybench.metrics.options import OPTIONS, check_options

__all__ = ["describe", "info_of"]

_INTERVALS = {
    "wilson": "Wilson's score interval of a proportion (1927)",
    "cells": "draws of the confusion counts' probabilities, with a prior that keeps a perfect cell from width 0",
    "mean": "Student's t of the mean from exact moments, on Wilson's scale in a range with two ends, else with its "
    "skewness taken out (Hall 1992)",
    "influence": "the influence of each record on the value (infinitesimal jackknife), on a scale where the range has "
    "no ends, Student's t of as many degrees of freedom as the records show",
}
_OWN = "inversion of a parametric bootstrap, which takes the bias of the value out"
_GROUPS = "leaving out 20 groups of records in turn, Student's t of 19 degrees of freedom"


@overload
def describe(name: str, config: Mapping[str, Any] | None = None) -> Info: ...  # type: ignore[overload-overlap]
@overload
def describe(name: Sequence[str] | None = None, config: Mapping[str, Any] | None = None) -> list[Info]: ...
def describe(name: str | Sequence[str] | None = None, config: Mapping[str, Any] | None = None) -> Info | list[Info]:
    """What a metric reads, takes and means for these options; of several, or of the whole catalogue, a list.

    Without `labels` the columns are those of two classes.
    """
    names = [name] if isinstance(name, str) else list(METRICS) if name is None else list(name)
    found = {one: find(one) for one in names}
    declared = {option for metric, _ in found.values() for option in declared_options(metric)}
    given = check_options(config, declared)
    infos = []
    for one, (metric, bound) in found.items():
        options = declared_options(metric)
        assumed = {"labels": [0, 1]} if options.get("labels") is REQUIRED and given.get("labels") is None else {}
        resolved = resolve_options(one, options, {**given, **bound, **assumed})
        infos.append(info_of(one, metric, resolved, assumed=frozenset(assumed)))
    return infos[0] if isinstance(name, str) else infos


def info_of(name: str, metric: Metric | TableMetric, options: Options, *, assumed: Collection[str] = ()) -> Info:
    """What there is to know of a metric under these options, of which some may be `assumed`."""
    columns = metric.measure.columns if isinstance(metric, Metric) else metric.columns
    known = {option: value for option, value in options.items() if option not in assumed}
    return Info(
        name=name,
        columns=columns(options) if callable(columns) else columns,
        options={option: _option(option, default, known) for option, default in declared_options(metric).items()},
        higher_is_better=metric.higher_is_better,
        unit=metric.unit,
        range=metric.range,
        undefined=metric.undefined,
        interval=_interval(metric),
        coverage=coverage_of(name),
        weights=metric.measure.weights if isinstance(metric, Metric) else metric.weights,
        source=metric.source(options) if callable(metric.source) else metric.source,
    )


def _option(name: str, default: Any, options: Options) -> OptionInfo:
    known = OPTIONS.get(name)
    return OptionInfo(
        name=name,
        default=None if default is REQUIRED else default,
        required=default is REQUIRED,
        value=options.get(name),
        meaning=known.meaning if known else "an option of the metric's own",
        expected=known.expected if known else "whatever the metric takes",
    )


def _interval(metric: Metric | TableMetric) -> str:
    if isinstance(metric, TableMetric):
        return _INTERVALS["influence"] if metric.influence is not None else _GROUPS
    if metric.ends is not None:
        return _OWN
    return _INTERVALS["influence" if metric.influence is not None else metric.interval]
