"""Two models on the same examples, always paired: difference, its interval, p-value, and the test that gave it.

    compare(["accuracy", "macro_f1"], records_a, records_b, {"labels": labels})["accuracy"].p_value

Rows are joined by id; only examples of both count, and how many were left out is said. Proportions of examples get
the exact McNemar test, other sums a sign-flip permutation (permutation.py), metrics of whole tables a z-test on the
difference of influences. With a `group` column whole clusters are flipped and drawn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import erfc, isnan, sqrt
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from raybench.core.errors import MetricError
from raybench.metrics.bootstrap import corrected_percentiles
from raybench.metrics.columns import keys_of, place_of
from raybench.metrics.evidence import Evidence
from raybench.metrics.influence import unit_sums
from raybench.metrics.metric import Metric, Options, TableMetric
from raybench.metrics.metric_set import MetricSet
from raybench.metrics.permutation import mcnemar, sign_flip
from raybench.metrics.row_sums import successes
from raybench.metrics.scoring import Scorer

__all__ = ["Difference", "compare", "rows_in_common"]

_Z = 1.959963984540054
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
        scorer = metrics.scorer(metrics.states(table), lambda: table, seed=seed)
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
        if isinstance(metric, TableMetric) or metric.influence is not None:
            test = _by_influence(metric, options, a, b, ours.value, theirs.value)
        else:
            test = _by_sums(metric, options, a, b, difference, clustered=metrics.group is not None)
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


def _by_sums(metric: Metric, options: Options, a: _Side, b: _Side, difference: float, *, clustered: bool) -> _Test:
    """The bootstrap of the difference under the same draws, and McNemar's or the permutation test."""
    draws = [metric.value(side.evidence.resample(metric, options), options) for side in (a, b)]
    low, high = corrected_percentiles(difference, draws[0] - draws[1], a.evidence.units().keys_U.size) or (None, None)
    if not clustered and metric.proportion is not None:
        right_a, right_b = (successes(metric, options, side.table) for side in (a, b))
        if right_a is not None and right_b is not None:
            only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
            return _Test(low, high, mcnemar(only_a=only_a, only_b=only_b), "McNemar, exact")
    measure = metric.measure
    centred = (side.table if measure.centre is None else measure.centre(side.table) for side in (a, b))
    ours, theirs = (measure.contributions(table, options) for table in centred)
    p_value = sign_flip(ours, theirs, a.evidence.units(), lambda sums: metric.value(sums, options))
    return _Test(low, high, p_value, "sign-flip permutation")


def _by_influence(
    metric: Metric | TableMetric, options: Options, a: _Side, b: _Side, value_a: float, value_b: float
) -> _Test:
    """A z-test on the difference of each unit's influences."""
    ours_N, unit_N = a.evidence.influence(metric, options, value_a)
    theirs_N, _ = b.evidence.influence(metric, options, value_b)
    change_U = unit_sums(ours_N - theirs_N, unit_N)
    if change_U.size < 2:
        return _Test()
    error = sqrt(float((change_U * change_U).sum()) * change_U.size / (change_U.size - 1))
    difference = value_a - value_b
    if error == 0 or isnan(error):
        return _Test(p_value=1.0 if difference == 0 else None, name="z of influences")
    p_value = erfc(abs(difference) / error / sqrt(2))
    return _Test(difference - _Z * error, difference + _Z * error, p_value, "z of influences")
