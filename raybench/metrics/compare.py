"""Two models on the same examples, always paired: difference, its interval, p-value, and the test that gave it.

    compare(["accuracy", "macro_f1"], records_a, records_b, {"labels": labels})["accuracy"].p_value

Rows are joined by id; only examples of both count, and how many were left out is said. Proportions of examples get
McNemar's test (mid-p), other sums a sign-flip permutation (permutation.py), AUC and average precision one of the rows'
shares (roc.py), other metrics of whole tables one of their influences. The interval is the same test inverted, so it
never says otherwise than the p-value. With a `group` column whole clusters are flipped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import MetricError
from raybench.metrics.columns import keys_of, place_of
from raybench.metrics.evidence import Evidence
from raybench.metrics.influence import unit_sums
from raybench.metrics.metric import Metric, Options, TableMetric
from raybench.metrics.metric_set import MetricSet
from raybench.metrics.permutation import Verdict, flipped_sum, mid_p_mcnemar, studentised
from raybench.metrics.row_sums import successes
from raybench.metrics.scoring import Scorer

__all__ = ["Difference", "compare", "rows_in_common"]

_TRUTHS = (  # the data's, whatever a model says of them
    "target", "targets", "target_tags", "references", "relevance", "truth_boxes", "truth_labels", "truth_areas",
    "truth_crowd", "target_pixels", "real", "group", "weight",
)  # fmt: skip
_COUNTS = ("num_tokens", "num_words", "num_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`a` − `b` with its 95 % interval and two-sided p-value; without a value, the reason."""

    metric: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    test: str | None = None
    n: int
    num_left_out: int  # examples that only one of the tables has
    reason: str | None = None


def rows_in_common(a: pa.Table, b: pa.Table, counts: Collection[str] = ()) -> tuple[pa.Table, pa.Table]:
    """The rows of the ids that both tables have, in the same order; unequal truths are an error.

    `counts` are more columns that must be equal: what is divided by, such as `num_tokens`, where a metric reads it.
    """
    ids = [keys_of(table, "id") for table in (a, b)]
    a, b = (table.set_column(table.column_names.index("id"), "id", i) for table, i in zip((a, b), ids, strict=True))
    a, b = (table.take(pc.sort_indices(table, sort_keys=[("id", "ascending")])) for table in (a, b))
    a, b = a.filter(pc.is_in(a["id"], b["id"])), b.filter(pc.is_in(b["id"], a["id"]))
    if not a.num_rows:
        raise MetricError("the two tables have no example id in common")
    for column in (*_TRUTHS, *counts):
        if column in a.column_names and column in b.column_names:
            row = _first_unequal(a[column], b[column])
            if row is not None:
                raise MetricError(
                    f"the two tables disagree on {column!r} of the same examples, first of {place_of(a, row)}: "
                    "not the same data"
                )
    return a, b


def _first_unequal(a: pa.ChunkedArray, b: pa.ChunkedArray) -> int | None:
    """The first row where two columns differ; NaN equals NaN."""
    if a.equals(b):
        return None
    ours, theirs = ([repr(value) for value in column.to_pylist()] for column in (a, b))
    return next((row for row, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]), None)


def compare(
    names: Sequence[str], a: pa.Table, b: pa.Table, config: Mapping[str, Any], *, seed: int = 0
) -> dict[str, Difference]:
    """How two models differ on the examples that both have scored."""
    if "group" in a.column_names:
        config = {"group": "group", **config}
    metrics = MetricSet(names, config)
    num_all = len(pc.unique(pa.chunked_array([*keys_of(a, "id").chunks, *keys_of(b, "id").chunks])))
    a, b = rows_in_common(a, b, [column for column in _COUNTS if column in metrics.columns])
    sides = _Side.of(metrics, a, seed), _Side.of(metrics, b, seed)
    return {name: _difference(metrics, name, *sides, num_left_out=num_all - a.num_rows) for name in metrics.names}


@dataclass(frozen=True, slots=True)
class _Side:
    """One model's records with their scores and draws."""

    table: pa.Table
    scorer: Scorer
    evidence: Evidence

    @classmethod
    def of(cls, metrics: MetricSet, table: pa.Table, seed: int) -> _Side:
        scorer = Scorer(metrics.states(table), lambda: table, seed=seed, group=metrics.group, intervals=False)
        evidence = scorer.evidence()
        assert evidence is not None
        return cls(evidence.table, scorer, evidence)


class _Test(NamedTuple):
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    name: str | None = None


def _difference(metrics: MetricSet, name: str, a: _Side, b: _Side, *, num_left_out: int) -> Difference:
    ours, theirs = (metrics.score(name, side.scorer) for side in (a, b))
    metric, options = metrics.metric(name)
    test, difference = _Test(), None
    if ours.value is not None and theirs.value is not None:
        difference = ours.value - theirs.value
        test = _test(metric, options, a, b, (ours.value, theirs.value), clustered=metrics.group is not None)
    return Difference(
        metric=name,
        a=ours.value,
        b=theirs.value,
        difference=difference,
        low=test.low,
        high=test.high,
        p_value=test.p_value,
        test=test.name,
        n=min(ours.n, theirs.n),
        num_left_out=num_left_out,
        reason=ours.reason or theirs.reason,
    )


def _test(
    metric: Metric | TableMetric,
    options: Options,
    a: _Side,
    b: _Side,
    values: tuple[float, float],
    *,
    clustered: bool,
) -> _Test:
    """The test that fits the metric, and the interval made of what it would not have found significant."""
    if not all(map(isfinite, values)):
        return _Test()
    difference, num_rows = values[0] - values[1], a.table.num_rows
    if isinstance(metric, Metric) and not clustered and metric.proportion is not None:
        right_a, right_b = (successes(metric, options, side.table) for side in (a, b))
        if right_a is not None and right_b is not None:
            only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
            verdict = mid_p_mcnemar(only_a=only_a, only_b=only_b)
            ends = studentised(only_a - only_b, verdict, only_a + only_b, num_rows)
            if ends is None:
                return _Test(p_value=verdict.p_value, name="McNemar, mid-p")
            scale = difference / (only_a - only_b) if only_a != only_b else 1 / num_rows
            return _Test(*_cut(metric, ends[0] * scale, ends[1] * scale), verdict.p_value, "McNemar, mid-p")
    if isinstance(metric, TableMetric) and metric.exchanged is not None:
        flipped, name = a.evidence.units(), "permutation of records"
        changes_U = unit_sums(metric.exchanged(a.table, b.table, options), flipped.unit_N)
        found = flipped_sum(changes_U, flipped) if changes_U.size > 1 else None
        return _Test() if found is None else _told(metric, difference, changes_U, found, name)
    influences = [side.evidence.influence(metric, options, value) for side, value in zip((a, b), values, strict=True)]
    unit_N = influences[0][1]
    flipped = a.evidence.flipped(unit_N)
    changes_U = unit_sums(influences[0][0] - influences[1][0] + difference / num_rows, flipped.unit_N)
    if changes_U.size < 2:
        return _Test()
    found, name = None, "sign-flip permutation"
    if isinstance(metric, Metric) and metric.influence is None:
        formula = metric.value
        found = a.evidence.swapped(b.evidence, metric, options).test(lambda sums: formula(sums, options))
    elif np.isfinite(changes_U).all():
        found, name = flipped_sum(changes_U, flipped), "sign-flip permutation of influences"
    if found is None:
        return _Test(name=name)
    return _told(metric, difference, changes_U, found, name)


def _told(metric: Metric | TableMetric, difference: float, changes_U: np.ndarray, found: Verdict, name: str) -> _Test:
    """A test with the interval of a difference in which the units have these shares."""
    ends = studentised(difference, found, float((changes_U * changes_U).sum()), changes_U.size)
    if ends is None or not all(map(isfinite, changes_U)):
        return _Test(p_value=found.p_value, name=name)
    return _Test(*_cut(metric, *ends), found.p_value, name)


def _cut(metric: Metric | TableMetric, low: float, high: float) -> tuple[float, float]:
    """An interval inside what two values of the metric can differ by."""
    widest = metric.range[1] - metric.range[0]
    return max(low, -widest), min(high, widest)
