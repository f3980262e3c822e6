"""Two runs compared: every matched candidate by paired tests on the examples that both have scored.

    comparison = compare_runs(before, after, gate, skipped)
    comparison.changes[0].decision.verdict, comparison.exit_code

Cells whose records are the same to the bit are no test and no part of the family.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from raybench.core.errors import JobError, MetricError, RaybenchError
from raybench.job.rank_by import weights_of
from raybench.metrics import MetricSet
from raybench.metrics.compare import Difference, compare
from raybench.metrics.requirements import misfit
from raybench.results.causes import causes
from raybench.results.flips import Flips, count_flips
from raybench.results.gate import Gate
from raybench.results.matching import BadEnd, Cell, Pair, match
from raybench.results.regression import Decision, Noise, Step, Verdict, decide, exit_code, pooled_noise, step
from raybench.results.stored import StoredRun, read_whole_records
from raybench.store.parquet import Skipped
from raybench.tasks.catalog import task_of

__all__ = ["Change", "Comparison", "compare_runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One metric of one cell; means over its seeds. Without a test `reason` says why."""

    cell: Cell
    metric: str
    higher_is_better: bool
    num_seeds: int
    n: int
    num_left_out: int
    before: float | None
    after: float | None
    step: Step
    noise: Noise | None
    decision: Decision
    causes: Sequence[str]
    flips: Flips | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What has changed between two runs, and what could not be compared."""

    before: StoredRun
    after: StoredRun
    gate: Gate
    changes: tuple[Change, ...]
    unchanged: tuple[Cell, ...]
    lost: tuple[tuple[Cell, BadEnd], ...]
    only_before: tuple[Cell, ...]
    only_after: tuple[Cell, ...]

    @property
    def exit_code(self) -> int:
        """0 no regression, 1 a regression, 2 could not tell: nothing matched, or something had no test."""
        verdicts = [change.decision.verdict for change in self.changes]
        return exit_code([*verdicts, *[Verdict.NONE] * len(self.unchanged), *[Verdict.UNKNOWN] * len(self.lost)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tested:
    """The differences of one metric of one cell, after − before, a seed each."""

    cell: Cell
    metric: str
    higher_is_better: bool
    differences: Sequence[Difference]
    causes: Sequence[str]
    flips: Flips | None
    reason: str | None = None


def compare_runs(before: StoredRun, after: StoredRun, gate: Gate, skipped: Skipped) -> Comparison:
    """What changed, decided over the whole family; JobError where the gate names what neither run has."""
    matched = match(before, after)
    pairs: dict[Cell, list[Pair]] = defaultdict(list)
    for pair in matched.pairs:
        if gate.wants(pair.cell.candidate, pair.cell.dataset):
            pairs[pair.cell].append(pair)
    read = partial(_read, before, after, skipped)
    is_one_store = before.store.files.absolute_url == after.store.files.absolute_url
    tested: list[_Tested] = []
    unchanged: list[Cell] = []
    for cell, of_cell in pairs.items():
        records = [] if is_one_store and all(pair.is_one_trial for pair in of_cell) else [read(one) for one in of_cell]
        if all(old.equals(new) for old, new in records) and not _other_labels(of_cell):
            unchanged.append(cell)
        else:
            metrics = gate.metrics or _ranked_by(cell.dataset, after, before)
            tested += _test(cell, of_cell, records, metrics)
    if len(unchanged) < len(pairs) and (missing := set(gate.metrics) - {one.metric for one in tested}):
        raise MetricError(f"compare: no candidate that changed has records for {', '.join(sorted(missing))}")
    noise = _noise(tested)
    steps = [
        step(one.differences, higher_is_better=one.higher_is_better, noise=noise.get(_source(one))) for one in tested
    ]
    matters = [gate.matters(one.metric) for one in tested]
    decisions = decide(steps, alpha=gate.alpha, min_difference=matters)
    return Comparison(
        before=before,
        after=after,
        gate=gate,
        changes=tuple(
            _change(one, step_of, noise.get(_source(one)), decision)
            for one, step_of, decision in zip(tested, steps, decisions, strict=True)
        ),
        unchanged=tuple(unchanged),
        lost=tuple((cell, end) for cell, end in matched.lost if gate.wants(cell.candidate, cell.dataset)),
        only_before=_wanted(matched.only_before, gate),
        only_after=_wanted(matched.only_after, gate),
    )


def _read(before: StoredRun, after: StoredRun, skipped: Skipped, pair: Pair) -> tuple[pa.Table, pa.Table]:
    return (
        read_whole_records(before.store, pair.before.row, skipped),
        read_whole_records(after.store, pair.after.row, skipped),
    )


def _other_labels(pairs: Sequence[Pair]) -> bool:
    """Whether the classes that records number have other names."""
    return pairs[0].before.trial.dataset.labels != pairs[0].after.trial.dataset.labels


def _ranked_by(dataset: str, *runs: StoredRun) -> tuple[str, ...]:
    for run in runs:
        if dataset in run.rank_by:
            return tuple(weights_of(run.rank_by[dataset]))
    raise JobError(f"compare: no table says what ranks {dataset!r}; name metrics")


def _test(
    cell: Cell, pairs: Sequence[Pair], records: Sequence[tuple[pa.Table, pa.Table]], metrics: Sequence[str]
) -> Iterator[_Tested]:
    """The tests of a cell by the metrics that its task's records have."""
    dataset = pairs[0].after.trial.dataset
    why = causes(pairs)
    problem = "the labels are others than before" if _other_labels(pairs) else None
    task = task_of(dataset)
    config = task.metric_config(dataset.labels, dataset.task_config)
    for name in metrics:
        if misfit(name, records[0][1].schema, config) is not None:
            continue  # of another dataset's task
        metric_set = MetricSet([name], config)
        direction = metric_set.info(name).higher_is_better
        if direction is None:
            raise MetricError(f"compare: {name} has no direction in which it is better; name another metric")
        differences: list[Difference] = []
        flips, reason = None, problem
        if reason is None:
            try:
                differences = [compare([name], new, old, config)[name] for old, new in records]
                flips = count_flips(metric_set, name, records)
            except RaybenchError as error:
                reason = str(error)
        reason = reason or next((one.reason for one in differences if one.reason), None)
        yield _Tested(
            cell=cell,
            metric=name,
            higher_is_better=direction,
            differences=differences,
            causes=why,
            flips=flips,
            reason=reason,
        )


def _source(one: _Tested) -> tuple[str, str, str]:
    """Whose seeds tell how much another seed changes: all configurations of a candidate on a dataset."""
    return one.cell.candidate, one.cell.dataset, one.metric


def _noise(tested: Sequence[_Tested]) -> dict[tuple[str, str, str], Noise | None]:
    groups: dict[tuple[str, str, str], list[list[float]]] = defaultdict(list)
    for one in tested:
        groups[_source(one)] += [_values(one.differences, side) for side in ("a", "b")]
    return {source: pooled_noise(values) for source, values in groups.items()}


def _values(differences: Sequence[Difference], side: str) -> list[float]:
    return [value for one in differences if (value := getattr(one, side)) is not None]


def _change(one: _Tested, found: Step, noise: Noise | None, decision: Decision) -> Change:
    after, before = (_mean(_values(one.differences, side)) for side in ("a", "b"))
    return Change(
        cell=one.cell,
        metric=one.metric,
        higher_is_better=one.higher_is_better,
        num_seeds=len(one.differences),
        n=min((other.n for other in one.differences), default=0),
        num_left_out=max((other.num_left_out for other in one.differences), default=0),
        before=before,
        after=after,
        step=found,
        noise=noise,
        decision=decision,
        causes=one.causes,
        flips=one.flips,
        reason=one.reason,
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _wanted(cells: Sequence[Cell], gate: Gate) -> tuple[Cell, ...]:
    return tuple(cell for cell in cells if gate.wants(cell.candidate, cell.dataset))
