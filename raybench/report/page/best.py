"""What is said of a dataset's best configurations from their records: pairs, classes, curves, slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from raybench.core import Score
from raybench.core.errors import MetricError
from raybench.metrics import MetricSet
from raybench.report.page.model import ByClass, ClassRow, Curves, Pairs, SliceRow, Slices, Value
from raybench.results.class_tables import class_scores, confusion
from raybench.results.curves import precision_recall, reliability, roc
from raybench.results.paired import paired_tests
from raybench.results.seeds import combine_seeds

__all__ = ["Scored", "by_class_of", "curves_of", "pairs_of", "slices_of"]

_BY_CLASS, _CURVES, _SLICES = 4, 5, 6  # configurations shown


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A configuration with its records, one table a seed."""

    name: str
    trial_ids: tuple[str, ...]
    records: tuple[pa.Table, ...]

    @cached_property
    def joined(self) -> pa.Table:
        """The records of all seeds, one under the other; ids told apart by the seed's place."""
        if len(self.records) == 1:
            return self.records[0]
        parts = []
        for place, table in enumerate(self.records):
            ids = pa.array([f"{one}#{place}" for one in table.column("id").to_pylist()])
            parts.append(table.set_column(table.column_names.index("id"), "id", ids))
        return pa.concat_tables(parts, promote_options="default")


def pairs_of(best: Sequence[Scored], metric: str, config: Mapping[str, Any], work: float) -> Pairs | None:
    """Who differs from whom, of as many pairs as the work allows."""
    tests = paired_tests([one.records for one in best], metric, config, work=work)
    if len(best) < 2:
        return None
    return Pairs(
        names=tuple(one.name for one in best),
        tests=tests,
        left_out=len(best) * (len(best) - 1) // 2 - len(tests),
    )


def by_class_of(best: Sequence[Scored], config: Mapping[str, Any], labels: Sequence[str]) -> ByClass | None:
    """Scores by class and confusion matrices, of tasks that have classes."""
    shown = best[:_BY_CLASS]
    try:
        measured = [class_scores(one.joined, config) for one in shown]
        confusions = tuple(confusion(one.joined, labels) for one in shown)
    except MetricError:
        return None
    if not measured or not all(measured):
        return None
    measures = tuple(measured[0])
    rows = []
    for label in measured[0][measures[0]]:
        of_class = [{name: scores[name].get(label) for name in measures} for scores in measured]
        rows.append(
            ClassRow(
                label=label,
                n=_support(of_class[0]),
                scores=tuple({name: _value(score) for name, score in one.items()} for one in of_class),
            )
        )
    return ByClass(names=tuple(one.name for one in shown), measures=measures, rows=tuple(rows), confusions=confusions)


def curves_of(best: Sequence[Scored], labels: Sequence[str]) -> Curves | None:
    """The curves that their records have what it takes for."""
    shown = best[:_CURVES]
    try:
        found = Curves(
            names=tuple(one.name for one in shown),
            reliability=tuple(reliability(one.joined) for one in shown),
            roc=tuple(roc(one.joined, labels) for one in shown),
            precision_recall=tuple(precision_recall(one.joined, labels) for one in shown),
        )
    except MetricError:
        return None
    drawn = (*found.reliability, *found.roc, *found.precision_recall)
    return found if any(curve is not None for curve in drawn) else None


def slices_of(best: Sequence[Scored], scores: pa.Table, metric: str, config: Mapping[str, Any]) -> Slices | None:
    """The ranking metric on each slice; `scores` are the rows of slices over all classes."""
    shown = best[:_SLICES]
    found: dict[str, dict[str, list[Score]]] = {}
    for row in scores.to_pylist():
        if row["metric"] == metric:
            score = Score(value=row["value"], low=row["low"], high=row["high"], n=row["n"] or 0, reason=row["reason"])
            found.setdefault(row["slice"], {}).setdefault(row["trial_id"], []).append(score)
    if not found or not shown:
        return None
    bounds = MetricSet([metric], config).info(metric).range
    rows = []
    for named, by_trial in found.items():
        of_slice = []
        for one in shown:
            seeds = [score for trial_id in one.trial_ids for score in by_trial.get(trial_id, ())]
            of_slice.append(combine_seeds(seeds, bounds) if seeds else None)
        column, _, value = named.partition("=")
        rows.append(
            SliceRow(
                column=column,
                value=value,
                n=max((score.n for score in of_slice if score is not None), default=0),
                scores=tuple(map(_value, of_slice)),
            )
        )
    return Slices(names=tuple(one.name for one in shown), rows=tuple(rows))


def _support(scores: Mapping[str, Score | None]) -> int:
    """Of recall the examples that have the class; of other measures alone, what they count."""
    of = scores.get("recall") or next(iter(scores.values()))
    return of.n if of is not None else 0


def _value(score: Score | None) -> Value:
    if score is None:
        return Value(value=None)
    return Value(value=score.value, low=score.low, high=score.high, n=score.n, reason=score.reason)
