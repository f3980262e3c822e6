"""From merged states to scores: the exact value, its interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raybench.core import Score
from raybench.errors import CoverageError
from raybench.identity import seed_from
from raybench.metrics.bootstrap import Units, corrected_percentiles
from raybench.metrics.coverage import Coverage
from raybench.metrics.intervals import draw_cells, mean_interval, wilson
from raybench.metrics.metric import Metric, Options, TableMetric
from raybench.metrics.state import Field, State, Sums
from raybench.metrics.state_set import StateSet

__all__ = ["Scorer"]

NO_EXAMPLES = "no examples"
TABLE_REPLICATES = 200  # a metric of whole tables is computed anew in each replicate
TABLE_WORK = 20_000  # and only while the table has at most so many rows


class Scorer:
    """Scores several metrics of the same states; records, sums and replicates are made once and shared."""

    def __init__(
        self, states: StateSet, records: Callable[[], pa.Table] | None, *, seed: int, group: str | None
    ) -> None:
        self._states = states
        self._read = records
        self._group = group
        self._seed = seed_from(seed, states.coverage.fingerprint)
        self._bootstrap_seed = seed_from(seed)
        self._table: pa.Table | None = None
        self._units: Units | None = None
        self._sums: dict[str, Sums] = {}
        self._replicates: dict[tuple[str, str], Sums | None] = {}

    def score(self, metric: Metric, options: Options, key: str) -> Score:
        state = self._states.states.get(key)
        n = state.n if state is not None else 0
        if state is None or n == 0:
            return Score(value=None, n=n, reason=self._nothing(state))
        if key not in self._sums:
            self._sums[key] = state.sums()
        sums = self._sums[key]
        value = float(metric.value(sums, options)[0])
        if np.isnan(value):
            classes = self._classes(metric, options, sums, None)
            return Score(value=None, n=n, reason=_nan_reason(state, metric.undefined), per_class=classes)
        replicates = None
        low, high = None, None
        interval = "bootstrap" if self._group and metric.interval != "none" else metric.interval
        if interval in ("bootstrap", "cells"):
            replicates = self._replicate(metric, options, state, key, interval)
            if replicates is not None:
                low, high = corrected_percentiles(value, metric.value(replicates, options)) or (None, None)
        elif interval == "wilson":
            assert metric.proportion is not None
            successes, trials = (int(part[0]) for part in metric.proportion(sums, options))
            low, high = wilson(successes, trials) or (None, None)
        elif interval == "mean":
            low, high = self._mean_interval(metric, options, sums) or (None, None)
        classes = self._classes(metric, options, sums, replicates)
        return Score(value=value, low=low, high=high, n=n, per_class=classes)

    def table_score(self, metric: TableMetric, options: Options) -> Score:
        if self._states.coverage.n == 0:
            return Score(value=None, n=0, reason=NO_EXAMPLES)
        table = self._records()
        if table is None:
            return Score(value=None, n=self._states.coverage.n, reason="needs the records, and none were given")
        n = metric.count(table, options)
        problem = NO_EXAMPLES if n == 0 else metric.problem(table, options)
        if problem is not None:
            return Score(value=None, n=n, reason=problem)
        value = float(metric.value(table, options))
        if np.isnan(value):
            return Score(value=None, n=n, reason=metric.undefined)
        interval = None
        if metric.interval is not None and not self._group:
            interval = metric.interval(table, options)
        elif table.num_rows <= TABLE_WORK:
            interval = corrected_percentiles(value, self._table_replicates(metric, table, options))
        low, high = interval or (None, None)
        return Score(value=value, low=low, high=high, n=n)

    def replicates(self, metric: Metric | TableMetric, options: Options) -> np.ndarray | None:
        """Values of a metric under Poisson resampling of the records, [R]."""
        if isinstance(metric, Metric):
            sums = self._resample(metric, options)
            return None if sums is None else metric.value(sums, options)
        table = self._records()
        return None if table is None or table.num_rows > TABLE_WORK else self._table_replicates(metric, table, options)

    def _table_replicates(self, metric: TableMetric, table: pa.Table, options: Options) -> np.ndarray:
        units = Units.of(table, seed=self._bootstrap_seed, group=self._group, replicates=TABLE_REPLICATES)
        return np.array([_resampled(metric, table, options, weights[units.unit_N]) for weights in units.weights_RU])

    def _replicate(self, metric: Metric, options: Options, state: State, key: str, interval: str) -> Sums | None:
        if (key, interval) not in self._replicates:
            self._replicates[key, interval] = (
                draw_cells(state, seed=self._seed) if interval == "cells" else self._resample(metric, options)
            )
        return self._replicates[key, interval]

    def _resample(self, metric: Metric, options: Options) -> Sums | None:
        table = self._records()
        if table is None:
            return None
        if self._units is None:
            self._units = Units.of(table, seed=self._bootstrap_seed, group=self._group)
        return self._units.replicate(metric.measure.contributions(table, options))

    def _records(self) -> pa.Table | None:
        """All records in canonical order: sorted by id, so neither shards nor their order can show."""
        if self._table is None and self._read is not None:
            table = self._read()
            seen = Coverage.of(table.column("id"))
            scored = self._states.coverage
            if (seen.n, seen.fingerprint) != (scored.n, scored.fingerprint):
                raise CoverageError(f"the {seen.n} records are not the {scored.n} examples that the states have seen")
            self._table = table.take(pc.sort_indices(table, sort_keys=[("id", "ascending")])).combine_chunks()
        return self._table

    def _nothing(self, state: State | None) -> str:
        ignored = state.fields.get("ignored") if state is not None else None
        if ignored is not None and ignored.keys.size:
            return f"{NO_EXAMPLES}: all {int(ignored.values[0])} are ignored"
        return NO_EXAMPLES

    @staticmethod
    def _mean_interval(metric: Metric, options: Options, sums: Sums) -> tuple[float, float] | None:
        """The interval of the mean, carried through the metric's formula and kept inside its range."""
        interval = mean_interval(sums)
        if interval is None:
            return None
        place = np.zeros(1, dtype=np.int64)
        n = float(sums["n"][0])
        ends = []
        for mean in interval:
            mean = min(max(mean, 0.0), np.inf) if metric.range[0] >= 0 else mean
            moved = Sums({"n": Field(place, np.array([[n]]), None), "x": Field(place, np.array([[mean * n]]), None)})
            ends.append(min(max(float(metric.value(moved, options)[0]), metric.range[0]), metric.range[1]))
        return min(ends), max(ends)

    @staticmethod
    def _classes(metric: Metric, options: Options, sums: Sums, replicates: Sums | None) -> dict[str, Score]:
        if metric.per_class is None:
            return {}
        values_C, counts_C = (part[0] for part in metric.per_class(sums, options))
        drawn_RC = metric.per_class(replicates, options)[0] if replicates is not None else None
        scores = {}
        for place, name in enumerate(metric.classes(options)):
            n = int(counts_C[place])
            if np.isnan(values_C[place]):
                scores[str(name)] = Score(value=None, n=n, reason=metric.undefined_class)
                continue
            value, interval = float(values_C[place]), None
            if drawn_RC is not None:
                interval = corrected_percentiles(value, drawn_RC[:, place])
            low, high = interval or (None, None)
            scores[str(name)] = Score(value=value, low=low, high=high, n=n)
        return scores


def _resampled(metric: TableMetric, table: pa.Table, options: Options, weights_N: np.ndarray) -> float:
    drawn = np.repeat(np.arange(table.num_rows), weights_N.astype(np.int64))
    sample = table.take(pa.array(drawn))
    if sample.num_rows == 0 or metric.problem(sample, options) is not None:
        return float("nan")
    return float(metric.value(sample, options))


def _nan_reason(state: State, undefined: str) -> str:
    for name, cells in state.fields.items():
        if name.endswith(".nan") and cells.keys.size:
            column = name.removesuffix(".nan")
            column = state.measure if column in ("x", "xx") else column
            return f"{int(cells.values.max())} of {state.n} records have NaN for {column!r}"
    return undefined
