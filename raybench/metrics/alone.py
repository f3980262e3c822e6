"""Metrics of what one has in hand, without a job: columns by name, or one table of whatever kind.

    from raybench import metrics
    metrics.evaluate("macro_f1", target=y, prediction=p).value
    metrics.evaluate(["accuracy", "ece"], dataframe, {"bins": 10})["ece"]
    metrics.evaluate("roc_auc", target=y, probabilities=p)             # [rows, classes]; or logits=…, or score=…

Classes may be names or integers; `labels` says their order where the data cannot. Rows without an `id` are numbered.
A `group` column is drawn together in every interval, a `weight` column weighs. Options are given as a dict or by name.
Every mistake is one MetricError with the column, the row and what would do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
import pyarrow as pa

from raybench.core import Score
from raybench.core.errors import MetricError
from raybench.core.suggestion import did_you_mean
from raybench.metrics.catalog import METRICS, find
from raybench.metrics.classes import encoded
from raybench.metrics.columns import column_of, keys_of
from raybench.metrics.from_scores import SCORES, with_records
from raybench.metrics.given import Given, column_from, table_of
from raybench.metrics.metric import REQUIRED, Metric, TableMetric, declared_options
from raybench.metrics.metric_set import MetricSet
from raybench.metrics.options import OPTIONS, check_options

__all__ = ["apart", "asked", "columns_read", "evaluate", "given_records", "in_words_of", "options_of", "scores_of"]

_ROLES = ("id", "group", "weight")


@overload
def evaluate(
    names: str, records: Any = None, config: Mapping[str, Any] | None = None, *, seed: int = 0, **columns: Any
) -> Score: ...
@overload
def evaluate(
    names: Sequence[str], records: Any = None, config: Mapping[str, Any] | None = None, *, seed: int = 0, **columns: Any
) -> dict[str, Score]: ...
def evaluate(
    names: str | Sequence[str],
    records: Any = None,
    config: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    **columns: Any,
) -> Score | dict[str, Score]:
    """The score of one metric, or those of several by name.

    `records` is a table (given.py lists the kinds) or None; `columns` are columns by name, beside it or in its place,
    and options by name. `seed` is that of resampling: equal seeds and ids draw alike.
    """
    wanted = asked(names)
    checked = options_of(wanted, config)
    options, columns = apart(wanted, columns, checked)
    found = scores_of(wanted, given_records(records, columns), {**checked, **options}, seed=seed)
    return found[names] if isinstance(names, str) else found


def asked(names: Any) -> dict[str, Metric | TableMetric]:
    """The metrics of these names, each once."""
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, Iterable) or isinstance(listed, Mapping | bytes):
        raise MetricError(
            f"the metric is a {type(names).__name__}; expected a name such as 'macro_f1', or a list of them"
        )
    found = {name: find(name)[0] for name in listed}
    if not found:
        raise MetricError("no metric is named; expected a name such as 'macro_f1', or a list of them")
    return found


def given_records(records: Any, columns: Mapping[str, Any]) -> Given:
    """One table of `records` with `columns` beside it, or of `columns` alone."""
    if records is None:
        return table_of(columns) if columns else table_of({})
    given = table_of(records)
    table = given.table
    for name, values in columns.items():
        column = column_from(name, values)
        if name in table.column_names:
            raise MetricError(f"column {name!r} is given by name and in the table; expected it once")
        if len(column) != table.num_rows:
            raise MetricError(
                f"column {name!r} has {len(column)} rows and the table {table.num_rows}; expected as many"
            )
        table = table.append_column(name, column)
    return Given(table, given.labels)


def scores_of(
    wanted: Mapping[str, Metric | TableMetric], given: Given, config: Mapping[str, Any], *, seed: int
) -> dict[str, Score]:
    """The scores of these metrics; those of classes and those of quantities each read `target` as theirs."""
    if not isinstance(seed, int | np.integer):
        raise MetricError(f"'seed' is {seed!r}; expected an integer")
    table, config = _with_roles(given.table, config)
    found: dict[str, Score] = {}
    for kind in (True, False):
        names = [name for name, metric in wanted.items() if _measures_quantities(metric) == kind]
        if names:
            found |= _scores(names, wanted, table, config, None if kind else given.labels, seed, classes=not kind)
    return {name: found[name] for name in wanted}


def _scores(
    names: list[str],
    wanted: Mapping[str, Metric | TableMetric],
    table: pa.Table,
    config: dict[str, Any],
    labels: list[Any] | None,
    seed: int,
    *,
    classes: bool,
) -> dict[str, Score]:
    known = {column for name in names for column in columns_read(wanted[name])}
    given = set(table.column_names)
    if classes:
        requires = any(_needs_labels(wanted[name]) for name in names)
        table, config = encoded(table, config, known, labels, required=requires)
        _require_classes(names, wanted, table, config)
        table = with_records(table, config, known)
    metrics = MetricSet(names, config)
    found = metrics.compute(metrics.states(table), lambda: table, seed=int(seed))
    return {name: in_words_of(score, given, set(table.column_names) - given) for name, score in found.items()}


def in_words_of(score: Score, given: Collection[str], made: Collection[str]) -> Score:
    """The score, whose reason names the scores that the caller gave in place of what was made of them."""
    source = next((name for name in SCORES if name in given), None)
    if score.reason is None or source is None:
        return score
    reason = score.reason
    for name in made:
        reason = reason.replace(f"'{name}'", f"'{source}'")
    return replace(score, reason=reason)


def columns_read(metric: Metric | TableMetric) -> set[str]:
    """Every column that the metric may read, whatever its options."""
    columns = metric.measure.columns if isinstance(metric, Metric) else metric.columns
    if not callable(columns):
        return set(columns)
    return set(columns({"labels": [0, 1]})) | set(columns({"labels": [0, 1, 2]}))


def _with_roles(table: pa.Table, config: Mapping[str, Any]) -> tuple[pa.Table, dict[str, Any]]:
    """`id` as strings (rows are numbered where there is none), `group` as strings, and which of the roles are there."""
    found = dict(config)
    if "id" not in table.column_names:
        numbers = pa.array(np.arange(table.num_rows).astype(str), type=pa.string())
        table = table.append_column("id", numbers)
    for role in ("group", "weight"):
        if role in table.column_names:
            found.setdefault(role, role)
    for name in ("id", found.get("group")):
        if name is not None:
            table = (
                table.set_column(table.column_names.index(name), name, keys_of(table, name))
                if (name in table.column_names)
                else table
            )
    return table, found


def apart(
    wanted: Mapping[str, Metric | TableMetric], given: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was given by name: options and columns; a name that is neither of any metric is a mistake."""
    read = {column for metric in wanted.values() for column in columns_read(metric)}
    options = {name: value for name, value in given.items() if name in OPTIONS and name not in read | set(_ROLES)}
    options |= {name: given[name] for name in ("group", "weight") if isinstance(given.get(name), str)}
    columns = {name: value for name, value in given.items() if name not in options}
    roles = [among.get(role) for among in (given, config) for role in _ROLES]  # a role may be a column's name
    known = read | {*_ROLES, *SCORES, "truth_areas", "truth_crowd"} | {role for role in roles if isinstance(role, str)}
    for name in columns:
        if name not in known and not any(name in columns_read(find(other)[0]) for other in METRICS):
            nearest = did_you_mean(name, {*read, *_ROLES, *OPTIONS}, noun="they read")
            raise MetricError(f"{name!r} is no column or option of these metrics{nearest}")
    return options_of(wanted, options), columns


def _require_classes(
    names: Sequence[str], wanted: Mapping[str, Metric | TableMetric], table: pa.Table, config: Mapping[str, Any]
) -> None:
    """MetricError where labels are needed and there is no column to find them in."""
    if config.get("labels") is not None:
        return
    for name in names:
        if _needs_labels(wanted[name]):
            columns = sorted(columns_read(wanted[name]))
            lacking = next((column for column in columns if column not in table.column_names), None)
            for column in columns:
                if column in table.column_names:
                    column_of(table, column)  # says where it has nulls
            if lacking is not None:
                have = [column for column in table.column_names if column not in _ROLES]
                nearest = did_you_mean(lacking, have, noun="they have")
                raise MetricError(f"records lack column {lacking!r}, needed by {name!r}{nearest}")


def _measures_quantities(metric: Metric | TableMetric) -> bool:
    return metric.measure.quantities if isinstance(metric, Metric) else metric.quantities


def _needs_labels(metric: Metric | TableMetric) -> bool:
    return declared_options(metric).get("labels") is REQUIRED


def options_of(wanted: Mapping[str, Metric | TableMetric], config: Any) -> dict[str, Any]:
    """The options of `config`; those that it may name are the catalogue's and those that these metrics declare."""
    return check_options(config, {option for metric in wanted.values() for option in declared_options(metric)})
