"""Whether a trial came out again with the same bits; where not, what is other than it was.

verdict = judge(found, records_before, again, metric_set)
verdict.is_same, verdict.causes, verdict.changed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from raybench.core.errors import MetricError
from raybench.core.identity import canonical_json
from raybench.metrics import MetricSet
from raybench.replay.again import Again
from raybench.replay.find import FoundTrial
from raybench.results.causes import causes
from raybench.results.flips import count_flips
from raybench.results.matching import Cell, Pair
from raybench.results.stored import StoredTrial

__all__ = ["Verdict", "judge"]


class Verdict(NamedTuple):
    """`changed` are examples of which any output is another; `values` by metric before and again."""

    is_same: bool
    num_examples: int
    causes: Sequence[str]
    changed: Sequence[str]
    values: dict[str, tuple[float | None, float | None]]


def judge(found: FoundTrial, before: pa.Table, again: Again, metric_set: MetricSet) -> Verdict:
    """`before` are the stored records, whole and by id."""
    same_columns = set(before.column_names) == set(again.records.column_names)
    if same_columns and before.equals(again.records.select(before.column_names)):
        return Verdict(True, before.num_rows, (), (), {})
    trial = found.one.trial
    cell = Cell(trial.candidate, trial.method, canonical_json(dict(trial.hyperparameters)), trial.dataset.name)
    after = StoredTrial(trial=replace(trial, trial_id=again.row.trial_id), row=again.row)
    try:
        changed = count_flips(metric_set, metric_set.names[0], [(before, again.records)]).changed
    except MetricError:  # other examples, or other truths of them
        changed = ()
    values = {
        name: (_value(metric_set, name, before), _value(metric_set, name, again.records)) for name in metric_set.names
    }
    return Verdict(False, before.num_rows, causes([Pair(cell, trial.seed, found.one, after)]), changed, values)


def _value(metric_set: MetricSet, name: str, records: pa.Table) -> float | None:
    try:
        return metric_set.compute(metric_set.states(records), records=lambda: records)[name].value
    except MetricError:
        return None
